"""Maximum a posteriori policy optimisation, MPO, for Box actions.

Abdolmaleki et al. (2018), "Maximum a posteriori policy optimisation", with means and deviations bounded apart as in
Abdolmaleki et al. (2018), "Relative entropy regularized policy iteration". Actions are the tanh of Gaussian draws: that
changes no divergence, and no ratio of densities.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import tensorflow as tf

from rl_fn import learning, losses, optimizers, policies, random, replay, updates
from rl_fn.agents.base import Agent
from rl_fn.agents.control import ControlHParams, bounded_box, init_critics
from rl_fn.agents.hparams import field, takes_network
from rl_fn.learning import Learned, Trained
from rl_fn.losses import KLConstraint, MPOLoss
from rl_fn.struct import EnvSpec, Nest, Scalar

Loss = Callable[..., Any]

_SMALLEST_DUAL = 1e-8  # softplus comes to zero, by which nothing can be divided


@dataclasses.dataclass(frozen=True)
class MPOHParams(ControlHParams):
    target_period: int = field(100, "Gradient steps between two copies of the parameters to the targets.", low=1)
    num_samples: int = field(20, "Actions drawn for each state.", low=2)
    epsilon: Scalar = field(0.1, "Bound on the divergence of the reweighted actions from the policy.", above=0.0)
    epsilon_mean: Scalar = field(2.5e-3, "Bound on the divergence of a step by the means, per dimension.", above=0.0)
    epsilon_stddev: Scalar = field(1e-4, "Bound on that by the deviations, per dimension.", above=0.0)
    dual_learning_rate: Scalar = field(1e-2, "Adam's step size for temperature and multipliers.", above=0.0)
    max_grad_norm: Scalar = field(40.0, "Global norm to which the policy's gradients are clipped.", above=0.0)
    initial_temperature: Scalar = field(1.0, "Of the reweighting, at the start.", above=0.0)
    initial_multiplier: Scalar = field(10.0, "Of the divergences, at the start.", above=0.0)
    min_stddev: Scalar = field(0.05, "The smallest deviation of the policy, before the tanh.", above=0.0)
    more_stddev: Scalar = field(0.45, "Deviation at the start, above the smallest.", above=0.0)


class Duals(NamedTuple):
    temperature: tf.Tensor  # float32[]
    mean: tf.Tensor  # float32[A]: multipliers
    stddev: tf.Tensor  # float32[A]


class MPOLearner(NamedTuple):
    actor: Trained  # {"policy", "duals"}: of these what softplus makes positive
    critic: Trained
    target_params: tuple[Nest, Nest]  # of policy and critic
    gradient_steps: tf.Tensor  # int32[]

    @property
    def actor_params(self) -> Nest:
        return self.actor.params["policy"], self.critic.params["encoder"]


class Gaussian(NamedTuple):
    mean: tf.Tensor
    stddev: tf.Tensor


def positive(learned: Duals) -> Duals:
    """The duals of what is learned in their place, by softplus: they rise no faster than that does."""
    return Duals(*(tf.nn.softplus(dual) + _SMALLEST_DUAL for dual in learned))


def critic_loss(q_tm1: tf.Tensor, q_t: tf.Tensor, sample: replay.Sample) -> tuple[tf.Tensor, tf.Tensor]:
    """The loss of the critic, expected SARSA by samples `[N, S]` of the successors: a scalar, and the errors `[N]`."""
    error = losses.td_learning(q_tm1, sample.items.reward, sample.items.discount, tf.reduce_mean(q_t, axis=-1))
    return tf.reduce_mean(sample.weights * losses.l2_loss(error)), error


def actor_loss(
    old: Gaussian, new: Gaussian, actions: tf.Tensor, q: tf.Tensor, duals: Duals, hparams: MPOHParams
) -> MPOLoss:
    """The loss of policy and duals, an `MPOLoss` of `[N]` each.

    Args:
      old: the target policy, `[N, A]`.
      new: the policy that learns.
      actions: `[S, N, A]` that the target policy drew.
      q: `[N, S]` their values.
      duals: temperature and multipliers.
      hparams: the agent's.
    """
    log_prob = policies.gaussian(new.mean, tf.stop_gradient(old.stddev)).log_prob(actions)
    log_prob += policies.gaussian(tf.stop_gradient(old.mean), new.stddev).log_prob(actions)
    divergences = losses.gaussian_kl(*old, *new)
    limits = (duals.mean, hparams.epsilon_mean), (duals.stddev, hparams.epsilon_stddev)
    constraints = [KLConstraint(kl, *limit) for kl, limit in zip(divergences, limits, strict=True)]
    return losses.mpo_loss(tf.transpose(log_prob), q, duals.temperature, hparams.epsilon, constraints)


@takes_network
def make(
    spec: EnvSpec,
    hparams: MPOHParams,
    *,
    critic_loss: Loss = critic_loss,
    actor_loss: Callable[..., MPOLoss] = actor_loss,
) -> Agent:
    """Makes an MPO agent, of the losses above or others; raises ValueError for actions not in a Box with bounds."""
    unit_box, encoder = policies.unit_box(bounded_box("mpo", spec)), hparams.make_encoder(spec)
    actor, critic = hparams.make_mlp(2 * unit_box.size), hparams.make_mlp(1)
    critic_optimizer = optimizers.adam(hparams.critic_learning_rate)
    rates = {"policy": hparams.actor_learning_rate, "duals": hparams.dual_learning_rate}
    adams = {part: optimizers.adam(rate) for part, rate in rates.items()}
    adams["policy"] = optimizers.chain(optimizers.clip_by_global_norm(hparams.max_grad_norm), adams["policy"])
    actor_optimizer = optimizers.partition(adams, {part: part for part in rates})

    def init(key: random.Key) -> MPOLearner:
        actor_key, critic_key = tf.unstack(random.split(key))
        spec = tf.TensorSpec([encoder.spec.shape[0] + unit_box.size], tf.float32)
        params = actor.init(actor_key, encoder.spec), init_critics(encoder, critic, spec, critic_key)
        starts = hparams.initial_temperature, *[tf.fill([unit_box.size], hparams.initial_multiplier)] * 2
        duals = Duals(*(_softplus_inverse(tf.cast(start, tf.float32)) for start in starts))
        learned = learning.init_trained({"policy": params[0], "duals": duals}, actor_optimizer)
        return MPOLearner(learned, learning.init_trained(params[1], critic_optimizer), params, tf.constant(0))

    def of_outputs(outputs: tf.Tensor) -> Gaussian:
        mean, raw = tf.split(outputs, 2, axis=-1)
        return Gaussian(mean, hparams.min_stddev + hparams.more_stddev * tf.nn.softplus(raw) / math.log(2))

    def values(params: Nest, *inputs: tf.Tensor) -> tf.Tensor:
        return tf.squeeze(critic.apply(params["values"], learning.with_action(*inputs)), axis=-1)

    def drawn(params: Nest, old: Gaussian, inputs: tf.Tensor, key: random.Key) -> tuple[tf.Tensor, tf.Tensor]:
        """Actions `[S, N, A]` before the tanh, and their values `[N, S]`."""
        actions = policies.sample(key, policies.gaussian(*old), [hparams.num_samples])
        each = tf.broadcast_to(inputs, [hparams.num_samples, *inputs.shape])
        return actions, tf.transpose(values(params, each, tf.tanh(actions)))

    def act(outputs: tf.Tensor, noise: tf.Tensor, key: random.Key, explore: bool) -> tf.Tensor:
        del key
        old = of_outputs(outputs)
        return unit_box.to_action(tf.tanh(old.mean + old.stddev * noise if explore else old.mean))

    def gradient_step(learner: MPOLearner, sample: replay.Sample, key: random.Key) -> tuple[MPOLearner, Learned]:
        (key, next_key), (target_actor, target_critic) = tf.unstack(random.split(key)), learner.target_params
        next_inputs = encoder.apply(target_critic["encoder"], sample.items.next_observation)
        _, q_t = drawn(target_critic, of_outputs(actor.apply(target_actor, next_inputs)), next_inputs, next_key)

        def of_critic(params: Nest) -> tuple[tf.Tensor, Nest]:
            inputs = encoder.apply(params["encoder"], sample.items.observation)
            q_tm1 = values(params, inputs, unit_box.to_unit(sample.items.action))
            value, error = critic_loss(q_tm1, q_t, sample)
            return value, (inputs, error, {"critic_loss": value, "q_value": tf.reduce_mean(q_tm1)})

        trained, (inputs, error, metrics) = learning.minimise(of_critic, critic_optimizer, learner.critic, "critic_")
        old = of_outputs(actor.apply(target_actor, inputs))
        actions, q = drawn(trained.params, old, inputs, key)

        def of_actor(params: Nest) -> tuple[tf.Tensor, Nest]:
            duals = positive(params["duals"])
            new = of_outputs(actor.apply(params["policy"], inputs))
            *parts, _ = actor_loss(old, new, actions, q, duals, hparams)
            more = {"actor_loss": tf.reduce_mean(parts[0]), "temperature": duals.temperature}
            return tf.reduce_mean(tf.add_n(parts)), more

        acting, more = learning.minimise(of_actor, actor_optimizer, learner.actor, "actor_")
        count, params = learner.gradient_steps + 1, (acting.params["policy"], trained.params)
        targets = updates.periodic_update(params, learner.target_params, count, hparams.target_period)
        return MPOLearner(acting, trained, targets, count), Learned(metrics | more, tf.abs(error))

    return hparams.make_stochastic(spec, encoder, actor, act, unit_box.size, init, gradient_step)


def _softplus_inverse(x: tf.Tensor) -> tf.Tensor:
    return x + tf.math.log(-tf.math.expm1(-x))
