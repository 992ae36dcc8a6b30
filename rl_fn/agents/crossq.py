"""CrossQ: SAC without target parameters, whose critics normalise the batch of states and successors together.

Bhatt, Palenicek, Belousov, Argus, Amiranashvili, Brox and Peters (2024), "CrossQ: batch normalization in deep
reinforcement learning for greater sample efficiency and simplicity". For Box actions. The policy is not normalised.
"""

from __future__ import annotations

import dataclasses
from typing import NamedTuple

import tensorflow as tf

from rl_fn import learning, losses, networks, optimizers, random, replay
from rl_fn.agents import sac
from rl_fn.agents.base import Agent
from rl_fn.agents.control import POLICY_METRICS, EntropyHParams, bounded_box, init_critics
from rl_fn.agents.hparams import field, takes_network
from rl_fn.learning import Learned, Trained
from rl_fn.struct import EnvSpec, Metrics, Nest, Scalar


@dataclasses.dataclass(frozen=True)
class CrossQHParams(EntropyHParams):
    actor_learning_rate: Scalar = 1e-3
    policy_delay: int = 3
    critic_sizes: tuple[int, ...] = field((512, 512), "Widths of the hidden layers of the critics.")
    adam_beta_1: Scalar = field(0.5, "How long Adam remembers gradients.", low=0.0, high=0.999)
    batch_norm_momentum: float = field(0.99, "Of the running statistics.", low=0.0, high=1.0)


class CrossQLearner(NamedTuple):
    actor: Trained
    critics: Trained  # running statistics among them
    log_temperature: Trained  # float32[]
    gradient_steps: tf.Tensor  # int32[]

    @property
    def actor_params(self) -> Nest:
        return self.actor.params, self.critics.params["encoder"]


def critic_loss(
    q_tm1: tf.Tensor, q_t: tf.Tensor, log_prob_t: tf.Tensor, alpha: tf.Tensor, sample: replay.Sample
) -> tuple[tf.Tensor, tf.Tensor]:
    """The loss of both critics: Bhatt et al. (2024), section 3; both kinds of values come of one pass, without targets.

    Args:
      q_tm1: `[N, 2]` of the actions taken.
      q_t: `[N, 2]` of actions drawn from the policy in the successors.
      log_prob_t: `[N]` their log-probabilities.
      alpha: the temperature.
      sample: N items `replay.NStepTransition` and their weights `[N]`.

    Returns:
      A scalar, and the errors `[N, 2]`.
    """
    items = sample.items
    error = losses.sac_critic_error(q_tm1, items.reward, items.discount, q_t, log_prob_t, alpha)
    return tf.reduce_mean(sample.weights * tf.reduce_sum(losses.l2_loss(error), axis=-1)), error


@takes_network
def make(
    spec: EnvSpec, hparams: CrossQHParams, *, critic_loss: sac.Loss = critic_loss, actor_loss: sac.Loss = sac.actor_loss
) -> Agent:
    """Makes a CrossQ agent, of the losses above and of `sac`, or others.

    Raises:
      ValueError: if the action space is not a Box with finite bounds.
    """
    squashed, encoder = learning.squashed_policy(bounded_box("crossq", spec)), hparams.make_encoder(spec)
    policy = learning.soft_policy("crossq", spec, encoder.spec)
    actor, critic = (
        hparams.make_mlp(policy.num_outputs),
        networks.batch_norm_mlp((*hparams.critic_sizes, 1), hparams.batch_norm_momentum),
    )
    by_statistics = learning.critics(networks.Network(critic.init, critic.apply))
    rates = hparams.actor_learning_rate, hparams.critic_learning_rate, hparams.temperature_learning_rate
    actor_optimizer, critic_optimizer, temperature_optimizer = (
        optimizers.adam(rate, beta_1=hparams.adam_beta_1) for rate in rates
    )
    target_entropy = hparams.target_entropy(policy)

    def init(key: random.Key) -> CrossQLearner:
        actor_key, critic_key = tf.unstack(random.split(key))
        log_temperature = tf.math.log(tf.cast(hparams.initial_temperature, tf.float32))
        return CrossQLearner(
            learning.init_trained(actor.init(actor_key, encoder.spec), actor_optimizer),
            learning.init_trained(
                init_critics(encoder, by_statistics, policy.critic_spec, critic_key), critic_optimizer
            ),
            learning.init_trained(log_temperature, temperature_optimizer),
            gradient_steps=tf.constant(0),
        )

    def gradient_step(learner: CrossQLearner, sample: replay.Sample, key: random.Key) -> tuple[CrossQLearner, Learned]:
        (actor_key, critic_key), items = tf.unstack(random.split(key)), sample.items
        alpha = tf.exp(learner.log_temperature.params)

        def of_critics(params: Nest) -> tuple[tf.Tensor, Nest]:
            inputs, next_inputs = (
                encoder.apply(params["encoder"], part) for part in (items.observation, items.next_observation)
            )
            following = squashed.sample(actor.apply(learner.actor.params, tf.stop_gradient(next_inputs)), critic_key)
            taken = learning.with_action(inputs, squashed.box.to_unit(items.action))
            both = tf.concat([taken, learning.with_action(next_inputs, following.action)], axis=0)
            parts = {name: critic.train(part, both) for name, part in params["values"].items()}
            q_tm1, q_t = tf.split(tf.concat([outputs for outputs, _ in parts.values()], axis=-1), 2, axis=0)
            value, error = critic_loss(q_tm1, q_t, following.log_prob, alpha, sample)
            moved = [moved for _, moved in parts.values()]
            return value, (inputs, moved, error, {"critic_loss": value, "q_value": tf.reduce_mean(q_tm1)})

        trained, (inputs, moved, error, metrics) = learning.minimise(
            of_critics, critic_optimizer, learner.critics, "critic_"
        )
        parts = zip(trained.params["values"].items(), moved, strict=True)
        values = {name: {**part, "statistics": now} for (name, part), now in parts}
        trained = trained._replace(params={**trained.params, "values": values})

        def of_actor(params: Nest) -> tuple[tf.Tensor, Nest]:
            outputs = actor.apply(params, inputs)
            critics = lambda inputs: by_statistics.apply(values, inputs)
            value, log_prob = actor_loss(policy, critics, inputs, outputs, alpha, actor_key)
            return value, (log_prob, {"actor_loss": value, "entropy": -tf.reduce_mean(log_prob)})

        def policy_step(old: tuple[Trained, Trained]) -> tuple[tuple[Trained, Trained], Metrics]:
            acting, (log_prob, metrics) = learning.minimise(of_actor, actor_optimizer, old[0], "actor_")
            of_temperature = lambda params: (sac.temperature_loss(params, log_prob, target_entropy), ())
            log_temperature, _ = learning.minimise(of_temperature, temperature_optimizer, old[1])
            return (acting, log_temperature), metrics

        count, old = learner.gradient_steps + 1, (learner.actor, learner.log_temperature)
        names = *POLICY_METRICS, "entropy"
        (acting, log_temperature), more = learning.every(hparams.policy_delay, count, policy_step, old, names)
        learned = Learned({**metrics, **more, "temperature": alpha}, tf.reduce_mean(tf.abs(error), axis=-1))
        return CrossQLearner(acting, trained, log_temperature, count), learned

    # The statistics of a batch are not those of its parts.
    return hparams.make_stochastic(
        spec, encoder, actor, policy.act, policy.noise_size, init, gradient_step, shared=False
    )
