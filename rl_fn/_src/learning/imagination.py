"""Learning a world model from sequences, and imagining with it (Hafner et al., 2023).

A step of experience has a moment of departure, where the action is chosen, and one of arrival, at the true successor.
What is learned of rewards and ends belongs to arrivals, so the last step of an episode is one like any other;
imagination begins at departures, none of which is an end. An arrival is the next departure unless the episode ended
between them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import gymnasium
import tensorflow as tf
from gymnasium import spaces

from rl_fn import losses, networks, policies, random, replay, struct
from rl_fn._src.scan import scan
from rl_fn._src.shapes import sizes_of
from rl_fn.struct import Metrics, Nest, Scalar, Transition


class ModelActions(NamedTuple):
    """Between what an actor draws, what a world model sees of it, and what the environment takes."""

    num_outputs: int  # P, of the actor
    size: int  # A, as the world model sees them
    distribution: Callable[[tf.Tensor], policies.Distribution]  # outputs [..., P] to a distribution over draws
    encode: Callable[[tf.Tensor], tf.Tensor]  # draws to [..., A]
    to_action: Callable[[tf.Tensor], tf.Tensor]
    to_draw: Callable[[tf.Tensor], tf.Tensor]


def model_actions(space: gymnasium.Space, unimix: Scalar = 0.01) -> ModelActions:
    """The policy over an action space, and its actions as a world model sees them.

    One-hot for Discrete, with a share of the uniform distribution; for a Box a Gaussian around a point of [-1, 1]^A of
    deviations between 0.1 and 1, clipped to that cube.

    Raises:
      ValueError: for any other space, or a Box without finite bounds.
    """
    if isinstance(space, spaces.Discrete):
        num = int(space.n)
        mixed = lambda outputs: policies.categorical(networks.mix_uniform(outputs, unimix))
        same = lambda draw: draw
        return ModelActions(num, num, mixed, lambda draw: tf.one_hot(draw, num), same, same)
    if not isinstance(space, spaces.Box):
        raise ValueError(f"a world model needs a Discrete or a Box action space, not {space}")
    unit, rank = policies.unit_box(space), len(space.shape)

    def distribution(outputs: tf.Tensor) -> policies.Distribution:
        mean, deviation = tf.split(outputs, 2, axis=-1)
        return policies.gaussian(tf.tanh(mean), 0.1 + 0.9 * tf.sigmoid(deviation + 2.0))

    def encode(draw: tf.Tensor) -> tf.Tensor:
        return tf.clip_by_value(draw, -1.0, 1.0)

    def to_draw(action: tf.Tensor) -> tf.Tensor:
        batch = sizes_of(action)[: action.shape.rank - rank]
        return tf.reshape(unit.to_unit(action), [*batch, unit.size])

    to_action = lambda draw: unit.to_action(encode(draw))
    return ModelActions(2 * unit.size, unit.size, distribution, encode, to_action, to_draw)


class WorldModel(NamedTuple):
    """The networks of a world model; their parameters are a dict."""

    observations: networks.ObservationModel  # parameters "encoder" and "decoder"
    rssm: networks.RSSM
    reward: networks.Network  # features to logits of `bins`
    continues: networks.Network  # features [..., F] to one logit [..., 1]
    actions: ModelActions
    bins: tf.Tensor  # of rewards

    def init(self, key: random.Key) -> dict[str, Nest]:
        """Parameters at their start."""
        keys = tf.unstack(random.split(key, 5), num=5)
        features = tf.TensorSpec([self.rssm.num_features])
        return {
            "encoder": self.observations.encoder_init(keys[0]),
            "decoder": self.observations.decoder_init(keys[1], self.rssm.num_features),
            "rssm": self.rssm.init(keys[2], self.actions.size, self.observations.embedding_size),
            "reward": self.reward.init(keys[3], features),
            "continues": self.continues.init(keys[4], features),
        }


class Remembered(NamedTuple):
    """What a world model makes of sequences; leaves `[T, N, ...]`."""

    departures: networks.Latent
    arrivals: networks.Latent
    begins: tf.Tensor  # bool: departures that were not arrived at within the sequence
    divergences: losses.BalancedKL  # leaves [2, T, N]: at departures, of which those count that begin; and at arrivals


def remember(
    model: WorldModel, params: Nest, sequence: replay.Sequence, key: random.Key, free_nats: Scalar = 1.0
) -> Remembered:
    """Goes through sequences of Transitions: on from the `deter` that each starts with, and anew where episodes begin.

    Args:
      model: the world model.
      params: its parameters.
      sequence: steps `[T, N, ...]`, and the `deter` `[N, D]` that was carried to the first of them.
      key: `uint32[2]`.
      free_nats: of `losses.balanced_kl`.
    """
    steps, start = sequence
    begins = tf.concat([tf.ones_like(steps.is_last[:1]), steps.is_last[:-1]], axis=0)
    noise = random.uniform(key, [2, *begins.shape, model.rssm.num_latents])
    both = struct.stack([steps.observation, steps.next_observation])
    embedding, next_embedding = tf.unstack(model.observations.encode(params["encoder"], both))
    deter = tf.concat([start[tf.newaxis], tf.zeros([begins.shape[0] - 1, *start.shape])], axis=0)
    logits = model.rssm.posterior(params["rssm"], deter, embedding)
    first = networks.Latent(deter, networks.straight_through(logits, noise[0]))

    def step(before: networks.Latent, x: tuple) -> tuple[networks.Latent, tuple]:
        begins, first, action, embedding, noise = x
        departure = struct.where(begins, first, before)
        deter = model.rssm.advance(params["rssm"], departure, action)
        logits = model.rssm.posterior(params["rssm"], deter, embedding)
        arrival = networks.Latent(deter, networks.straight_through(logits, noise))
        return arrival, (departure, arrival, logits)

    actions = model.actions.encode(model.actions.to_draw(steps.action))
    xs = (begins, first, actions, next_embedding, noise[1])
    _, (departures, arrivals, next_logits) = scan(step, struct.at(first, 0), xs)
    expected = model.rssm.prior(params["rssm"], tf.stack([deter, arrivals.deter]))
    divergences = losses.balanced_kl(tf.stack([logits, next_logits]), expected, free_nats)
    return Remembered(departures, arrivals, begins, divergences)


def world_model_loss(
    model: WorldModel,
    params: Nest,
    remembered: Remembered,
    steps: Transition,
    dynamics_cost: Scalar = 1.0,
    representation_cost: Scalar = 0.1,
) -> tuple[tf.Tensor, Metrics]:
    """The loss of a world model: Hafner et al. (2023), equations 4 and 5.

    Observations are those of departures; rewards and what continues are predicted at arrivals, and only a termination
    is an end.

    Args:
      model: the world model.
      params: its parameters.
      remembered: what `remember` made of the steps.
      steps: `[T, N, ...]`.
      dynamics_cost: weight of the divergences that the prior may lessen.
      representation_cost: weight of those that the posterior may lessen.

    Returns:
      The mean over steps, a scalar, and its parts.
    """
    arrived = remembered.arrivals.features
    seen = model.observations.decode(params["decoder"], remembered.departures.features)
    reward = model.reward.apply(params["reward"], arrived)
    continues = model.continues.apply(params["continues"], arrived)[..., 0]
    lives = 1.0 - tf.cast(steps.terminated, tf.float32)
    begins = tf.cast(remembered.begins, tf.float32)
    divergences = tf.nest.map_structure(lambda kl: begins * kl[0] + kl[1], remembered.divergences)
    parts = {
        "observation_loss": model.observations.loss(seen, steps.observation),
        "reward_loss": losses.twohot_loss(reward, steps.reward, model.bins),
        "continue_loss": tf.nn.sigmoid_cross_entropy_with_logits(lives, continues),
        "dynamics_loss": divergences.dynamics,
        "representation_loss": divergences.representation,
        "kl": remembered.divergences.kl[1],
    }
    parts = {name: tf.reduce_mean(value) for name, value in parts.items()}
    weights = {"dynamics_loss": dynamics_cost, "representation_loss": representation_cost, "kl": 0.0}
    return tf.add_n([weights.get(name, 1.0) * value for name, value in parts.items()]), parts


class Imagined(NamedTuple):
    """What follows from N moments by a policy and a world model."""

    features: tf.Tensor  # [H + 1, N, F]
    draws: tf.Tensor  # [H, N, ...] of the policy
    reward: tf.Tensor  # [H, N], of arriving
    continues: tf.Tensor  # [H, N], the probability that arriving is no end


def imagine(
    model: WorldModel,
    params: Nest,
    policy: Callable[[tf.Tensor], policies.Distribution],
    start: networks.Latent,
    key: random.Key,
    horizon: int,
) -> Imagined:
    """Imagines H steps; no gradient comes out.

    Args:
      model: the world model.
      params: its parameters.
      policy: from features `[N, F]` to a distribution over draws.
      start: latents `[N, ...]`.
      key: `uint32[2]`.
      horizon: H.
    """
    params, start = tf.nest.map_structure(tf.stop_gradient, (params, start))
    noise_key, action_key = tf.unstack(random.split(key))
    noise = random.uniform(noise_key, [horizon, *start.stoch.shape[:-1]])

    def step(latent: networks.Latent, x: tuple) -> tuple[networks.Latent, tuple]:
        noise, key = x
        draw = policies.sample(key, policy(latent.features))
        deter = model.rssm.advance(params["rssm"], latent, model.actions.encode(draw))
        stoch = networks.straight_through(model.rssm.prior(params["rssm"], deter), noise)
        return networks.Latent(deter, stoch), (latent.features, draw)

    last, (features, draws) = scan(step, start, (noise, random.split(action_key, horizon)))
    features = tf.concat([features, last.features[tf.newaxis]], axis=0)
    reward = losses.twohot_values(model.reward.apply(params["reward"], features[1:]), model.bins)
    continues = tf.sigmoid(model.continues.apply(params["continues"], features[1:])[..., 0])
    return tf.nest.map_structure(tf.stop_gradient, Imagined(features, draws, reward, continues))
