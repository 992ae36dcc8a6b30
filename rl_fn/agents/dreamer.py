"""DreamerV3 (Hafner et al., 2023, "Mastering diverse domains through world models").

A world model learns from replayed sequences what the next observation, the reward and the end of an episode will be;
actor and critic learn from what it imagines, and act by what it remembers. One setting serves all environments.

`learning.remember`, `learning.world_model_loss` and `learning.imagine` are the world model's part of it. The recurrent
state that an actor carries is the deterministic one of the next moment: last latent and last action are in it.
"""

from __future__ import annotations

import dataclasses
from typing import NamedTuple

import tensorflow as tf

from rl_fn import learning, losses, networks, policies, random, replay, returns, updates
from rl_fn._src.shapes import sizes_of
from rl_fn.agents.base import ActorStep, Agent, Mode, check_players
from rl_fn.agents.groups import LaPropHParams, SequenceReplayHParams
from rl_fn.agents.hparams import field
from rl_fn.learning import Learned, OffPolicyPolicy, Trained
from rl_fn.struct import EnvSpec, Nest, Scalar


@dataclasses.dataclass(frozen=True)
class DreamerHParams(SequenceReplayHParams, LaPropHParams):
    size: str = field("0.5m", "Of the networks, in millions of parameters.", choices=tuple(networks.MODEL_SIZES))
    num_envs: int = 4
    rollout_length: int = 4
    gamma: Scalar = 0.997
    replay_capacity: int = 500_000
    batch_size: int = field(16, "Sequences per gradient step.", low=1)
    gradient_steps: int = 6
    anneal_learning_rate: bool = True
    n_step: int = field(1, "Always 1: returns are those of imagination.", low=1, high=1)
    sequence_length: int = field(16, "Steps of a sequence.", low=1)
    sequence_period: int = field(4, "Steps between the beginnings of two sequences.", low=1)
    horizon: int = field(15, "Steps of imagination.", low=1)
    imagine_last: int = field(4, "Steps at the end of each sequence from which it is imagined, at most all.", low=1)
    lambda_: Scalar = field(0.95, "Lambda of the returns.", low=0.0, high=1.0)
    entropy_cost: Scalar = field(3e-4, "Weight of the entropy bonus.", low=0.0)
    unimix: Scalar = field(0.01, "Share of the uniform in latents and discrete actions.", above=0.0, high=1.0)
    free_nats: Scalar = field(1.0, "Divergence of the latents that costs nothing.", low=0.0)
    dynamics_cost: Scalar = field(1.0, "Weight of what the expectations are off.", low=0.0)
    representation_cost: Scalar = field(0.1, "Weight of what cannot be expected.", low=0.0)
    replay_value_cost: Scalar = field(0.3, "Weight of the critic's loss on what was replayed.", low=0.0)
    slow_value_cost: Scalar = field(1.0, "Weight of the distance of the critic from its running mean.", low=0.0)
    slow_value_decay: Scalar = field(0.98, "Decay of that mean.", low=0.0, high=1.0)
    return_range_decay: Scalar = field(0.99, "Decay of the running range of returns.", low=0.0, high=0.9999)
    num_bins: int = field(255, "Of the distributions of rewards and values, an odd number.", low=3)

    def make_store(self, spec: EnvSpec) -> replay.Store:
        """Makes what keeps the steps, at least `replay_capacity` of them: items are `replay.Sequence`s."""
        begin = self.num_envs * self.sequence_period
        return replay.sequences(
            -(-self.replay_capacity // begin) * begin,
            self.step_spec(spec),
            num_streams=self.num_envs,
            length=self.sequence_length,
            period=self.sequence_period,
            start_spec=tf.TensorSpec([networks.MODEL_SIZES[self.size].units]),
        )


class ActorCritic(NamedTuple):
    actor: networks.Network
    critic: networks.Network
    bins: tf.Tensor  # of values
    actions: learning.ModelActions

    def init(self, key: random.Key, features: int) -> dict[str, Nest]:
        """Parameters at their start."""
        actor_key, critic_key = tf.unstack(random.split(key))
        spec = tf.TensorSpec([features])
        return {"actor": self.actor.init(actor_key, spec), "critic": self.critic.init(critic_key, spec)}

    def policy(self, params: Nest, features: tf.Tensor) -> policies.Distribution:
        """The distribution over draws."""
        return self.actions.distribution(self.actor.apply(params["actor"], features))


def make_networks(spec: EnvSpec, hparams: DreamerHParams) -> tuple[learning.WorldModel, ActorCritic]:
    """Makes the world model, and what acts in it."""
    size = networks.MODEL_SIZES[hparams.size]
    actions = learning.model_actions(spec.action_space, hparams.unimix)
    bins = tf.constant(losses.symexp_bins(hparams.num_bins))
    head = lambda layers, outputs, init=None: networks.normed_mlp(size.width, layers, outputs, init)
    rssm = networks.rssm(size.units, size.blocks, size.width, classes=size.classes, unimix=hparams.unimix)
    model = learning.WorldModel(
        networks.observation_model(spec.observation_space, size.width, size.depth),
        rssm,
        head(1, hparams.num_bins, networks.zero_init),
        head(1, 1),
        actions,
        bins,
    )
    actor = head(3, actions.num_outputs, networks.lecun_normal(0.01))
    return model, ActorCritic(actor, head(3, hparams.num_bins, networks.zero_init), bins, actions)


class DreamerLearner(NamedTuple):
    online: Trained
    slow_critic_params: Nest  # running mean of the critic's parameters
    return_range: tf.Tensor  # float32[2]: running means, from zero, of the 5th and the 95th percentile of returns
    gradient_steps: tf.Tensor  # int32[]

    @property
    def actor_params(self) -> Nest:
        """What acts."""
        return {name: self.online.params[name] for name in ("encoder", "rssm", "actor")}


def beginnings(departures: networks.Latent, last: int) -> networks.Latent:
    """Where imagination begins, `[last * N, ...]`: at the last moments of N sequences `[T, N, ...]`, at most T."""
    return tf.nest.map_structure(lambda leaf: tf.reshape(leaf[-last:], [-1, *leaf.shape[2:]]), departures)


class ActorCriticLoss(NamedTuple):
    actor: tf.Tensor  # float32[]
    critic: tf.Tensor  # float32[]
    returns: tf.Tensor  # [H, N]
    return_range: tf.Tensor  # the learner's, after these


def actor_critic_loss(
    networks_: ActorCritic,
    params: Nest,
    learner: DreamerLearner,
    imagined: learning.Imagined,
    hparams: DreamerHParams,
) -> ActorCriticLoss:
    """The losses of actor and critic on what was imagined: Hafner et al. (2023), equations 6 to 8.

    Args:
      networks_: the actor and the critic.
      params: theirs, which get the gradient.
      learner: with the critic's running mean and the range of returns.
      imagined: from `learning.imagine`.
      hparams: the agent's.
    """
    features, bins = imagined.features, networks_.bins
    logits = networks_.critic.apply(params["critic"], features)
    values = tf.stop_gradient(losses.twohot_values(logits, bins))
    discounts = hparams.gamma * imagined.continues
    returns_ = returns.lambda_returns(imagined.reward, discounts, values[1:], hparams.lambda_)
    # How much of each moment there is, because what was imagined may have ended before.
    weights = tf.concat([tf.ones_like(discounts[:1]), tf.math.cumprod(discounts[:-1], axis=0)], axis=0)
    ordered = tf.sort(tf.reshape(returns_, [-1]))
    ends = tf.stack([ordered[int(share * (ordered.shape[0] - 1))] for share in (0.05, 0.95)])
    decay = tf.cast(hparams.return_range_decay, tf.float32)
    return_range = decay * learner.return_range + (1 - decay) * ends
    seen = 1 - tf.pow(decay, tf.cast(learner.gradient_steps + 1, tf.float32))
    scale = tf.maximum(1.0, (return_range[1] - return_range[0]) / seen)

    distribution = networks_.policy(params, features[:-1])
    advantages = (returns_ - values[:-1]) / scale
    actor = -(advantages * distribution.log_prob(imagined.draws) + hparams.entropy_cost * distribution.entropy())
    critic = critic_loss(networks_, learner.slow_critic_params, logits[:-1], features[:-1], returns_, hparams)
    return ActorCriticLoss(tf.reduce_mean(weights * actor), tf.reduce_mean(weights * critic), returns_, return_range)


def critic_loss(
    networks_: ActorCritic,
    slow_critic: Nest,
    logits: tf.Tensor,
    features: tf.Tensor,
    targets: tf.Tensor,
    hparams: DreamerHParams,
) -> tf.Tensor:
    """The critic's loss `[...]` at features `[..., F]`: towards the targets, and towards its own running mean."""
    slow = losses.twohot_values(networks_.critic.apply(slow_critic, features), networks_.bins)
    towards = lambda values: losses.twohot_loss(logits, values, networks_.bins)
    return towards(targets) + hparams.slow_value_cost * towards(slow)


def make(spec: EnvSpec, hparams: DreamerHParams) -> Agent:
    """Makes a Dreamer.

    Raises:
      ValueError: if the action space is neither Discrete nor a bounded Box, or for a game of two against themselves.
    """
    check_players("dreamer", spec)
    model, actor_critic = make_networks(spec, hparams)
    optimizer = hparams.make_optimizer(hparams.gradient_steps)

    def init(key: random.Key) -> DreamerLearner:
        model_key, key = tf.unstack(random.split(key))
        params = {**model.init(model_key), **actor_critic.init(key, model.rssm.num_features)}
        return DreamerLearner(learning.init_trained(params, optimizer), params["critic"], tf.zeros([2]), tf.constant(0))

    def act(policy: OffPolicyPolicy, deter: tf.Tensor, observation: Nest, key: random.Key, mode: Mode) -> ActorStep:
        params = policy.params
        noise_key, draw_key = tf.unstack(random.split(key))
        embedding = model.observations.encode(params["encoder"], observation)
        noise = random.uniform(noise_key, [sizes_of(deter)[0], model.rssm.num_latents])
        stoch = networks.straight_through(model.rssm.posterior(params["rssm"], deter, embedding), noise)
        latent = networks.Latent(deter, stoch)
        distribution = actor_critic.policy(params, latent.features)
        draw = policies.mode(distribution) if mode == "eval" else policies.sample(draw_key, distribution)
        after = model.rssm.advance(params["rssm"], latent, model.actions.encode(draw))
        return ActorStep(model.actions.to_action(draw), after, {} if mode == "eval" else {"deter": deter})

    def loss(params: Nest, learner: DreamerLearner, sequence: replay.Sequence, key: random.Key) -> tuple:
        steps, (remember_key, imagine_key) = sequence.steps, tf.unstack(random.split(key))
        remembered = learning.remember(model, params, sequence, remember_key, hparams.free_nats)
        model_loss, metrics = learning.world_model_loss(
            model, params, remembered, steps, hparams.dynamics_cost, hparams.representation_cost
        )
        start = beginnings(remembered.departures, hparams.imagine_last)
        acting = tf.nest.map_structure(tf.stop_gradient, params)
        policy = lambda features: actor_critic.policy(acting, features)
        imagined = learning.imagine(model, params, policy, start, imagine_key, hparams.horizon)
        dreamed = actor_critic_loss(actor_critic, params, learner, imagined, hparams)

        departed, arrived = tf.nest.map_structure(
            tf.stop_gradient, (remembered.departures.features, remembered.arrivals.features)
        )
        logits = actor_critic.critic.apply(params["critic"], departed)
        following = losses.twohot_values(actor_critic.critic.apply(acting["critic"], arrived), actor_critic.bins)
        discounts = steps.discount(hparams.gamma)
        targets = returns.lambda_returns(steps.reward, discounts, following, hparams.lambda_, steps.is_last)
        replayed = critic_loss(actor_critic, learner.slow_critic_params, logits, departed, targets, hparams)
        replayed = tf.reduce_mean(replayed)

        total = model_loss + dreamed.actor + dreamed.critic + hparams.replay_value_cost * replayed
        more = {"loss": total, "actor_loss": dreamed.actor, "critic_loss": dreamed.critic, "replayed_loss": replayed}
        metrics |= {
            **more,
            "value": tf.reduce_mean(losses.twohot_values(logits, actor_critic.bins)),
            "imagined_return": tf.reduce_mean(dreamed.returns),
        }
        return total, (metrics, dreamed.return_range)

    def gradient_step(
        learner: DreamerLearner, sample: replay.Sample, key: random.Key
    ) -> tuple[DreamerLearner, Learned]:
        mine = lambda params: loss(params, learner, sample.items, key)
        online, (metrics, return_range) = learning.minimise(mine, optimizer, learner.online)
        slow = updates.incremental_update(
            online.params["critic"], learner.slow_critic_params, 1 - hparams.slow_value_decay
        )
        learner = DreamerLearner(online, slow, return_range, learner.gradient_steps + 1)
        return learner, Learned(metrics, tf.zeros([hparams.batch_size]))

    return hparams.make_agent_with_state(
        hparams.make_replay(spec),
        init,
        model.rssm.initial_state,
        act,
        gradient_step,
        min_items=hparams.min_sequences(hparams.sequence_length, hparams.sequence_period),
        to_items=lambda steps: replay.Sequence(steps._replace(extras={}), steps.extras["deter"]),
        shared=False,  # items are sequences, whose second axis is that of the batch
    )
