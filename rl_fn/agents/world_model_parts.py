"""The hyper-parameters of world models, the clock of their stages, and their linear controllers."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

import gymnasium
import numpy as np
import tensorflow as tf
from gymnasium import spaces

from rl_fn import networks, optimizers, policies, random
from rl_fn._src.networks.observations import is_picture
from rl_fn._src.shapes import sizes_of
from rl_fn._src.xla.products import product
from rl_fn.agents.groups import AdamHParams
from rl_fn.agents.hparams import HParams, field
from rl_fn.envs.drawing.pixels import shares
from rl_fn.struct import EnvSpec, Scalar

STAGES = ("collection", "vision", "memory", "controller")


@dataclasses.dataclass(frozen=True)
class WorldModelsHParams(AdamHParams):
    num_envs: int = 16
    rollout_length: int = 50
    gamma: Scalar = 1.0
    rounds: int = field(1, "How often the stages are gone through; from the second on, C collects.", low=1)
    stage_shares: tuple[int, ...] = field((1, 2, 3, 4), "Shares of a round: collection, V, M and C.")
    recording_rows: int = field(1_000, "Newest steps of each environment that are kept.", low=2)
    persistence: Scalar = field(0.8, "Probability that a random action is the last one again.", low=0.0, high=1.0)
    image_size: int = field(64, "Height and width that pictures are brought to.", low=1)
    latent_size: int = field(16, "Of what V makes of a picture.", low=1)
    features: tuple[int, ...] = field((8, 16, 32, 64), "Channels of V's convolutions.")
    pixel_deviation: Scalar = field(0.1, "Deviation of a pixel's brightness, of 0 to 1, from V's picture.", above=0.0)
    free_nats: Scalar = field(0.0, "Of V's divergence that cost nothing.", low=0.0)
    vision_batch: int = field(64, "Pictures per gradient step of V.", low=1)
    vision_steps: int = field(20, "Gradient steps per update in the stage of V.", low=1)
    memory_units: int = field(64, "Size of M's LSTM.", low=1)
    mixture_components: int = field(5, "Gaussians for each number of the next latent.", low=1)
    memory_batch: int = field(32, "Sequences per gradient step of M.", low=1)
    sequence_length: int = field(32, "Their steps.", low=1)
    memory_steps: int = field(50, "Gradient steps per update in the stage of M.", low=1)
    reward_scale: Scalar = field(1.0, "Of rewards as M predicts them.", above=0.0)
    reward_cost: Scalar = field(1.0, "Weight of the reward's squared error.", low=0.0)
    end_cost: Scalar = field(1.0, "Weight of the end's cross-entropy.", low=0.0)
    controller_training: str = field("dream", "Where candidates for C are tried.", choices=("dream", "environment"))
    population: int = field(32, "Candidates per generation.", low=4)
    initial_step_size: float = field(0.5, "Deviation of the first candidates' weights.", above=0.0)
    generations: int = field(1, "Per update in the stage of C, in dreams.", low=1)
    dream_starts: int = field(16, "Dreams of each candidate.", low=1)
    first_fraction: Scalar = field(0.5, "Of dreams, that begin where episodes did.", low=0.0, high=1.0)
    dream_length: int = field(50, "Steps of a dream.", low=1)
    warm_up: int = field(4, "Recorded steps that M sees before a dream.", low=1)
    temperature: Scalar = field(1.0, "Of dreams: above 1 M is less certain.", above=0.0)

    def __post_init__(self) -> None:
        super().__post_init__()
        if len(self.stage_shares) != len(STAGES):
            raise ValueError(f"stage_shares is {self.stage_shares}, expected {len(STAGES)} positive integers")
        if self.recording_rows % self.rollout_length:
            expected = f"expected a multiple of rollout_length = {self.rollout_length}"
            raise ValueError(f"recording_rows is {self.recording_rows}, {expected}")
        needed = max(self.sequence_length, self.warm_up) + 1
        begins = [0, *self._ends]
        if any(end <= begin for begin, end in zip(begins, [*self._ends, self._updates], strict=True)):
            raise ValueError(
                f"train_steps is {self.train_steps}, which makes {self._updates} updates a round, expected enough for "
                f"each of the stages of shares {self.stage_shares}"
            )
        if (kept := min(self.recording_rows, self._ends[0] * self.rollout_length)) < needed:
            raise ValueError(
                f"{kept} steps of each environment are recorded before V learns, expected at least {needed}: "
                "sequence_length or warm_up, and one more"
            )
        if self.controller_training == "environment" and self.num_envs % self.population:
            raise ValueError(
                f"num_envs is {self.num_envs}, expected a multiple of population = {self.population}, whose candidates "
                "are tried in environments"
            )
        if self.controller_training == "environment" and self.actor_lag:
            raise ValueError(
                f"actor_lag is {self.actor_lag}, expected 0 with controller_training = environment: a generation's "
                "returns are those of its own candidates"
            )

    def of_actors(self, first: int, count: int) -> HParams:
        """See HParams; raises ValueError where each environment has a candidate of its own."""
        if self.controller_training == "environment" and count < self.num_envs:
            raise ValueError(
                "controller_training is 'environment', expected 'dream' where workers share out the environments: "
                "candidates are tried in all of them at once"
            )
        return self

    @property
    def _updates(self) -> int:
        """Of a round; the last one may be longer."""
        return self.num_iterations // self.rounds

    @property
    def _ends(self) -> list[int]:
        """The updates of a round before which the stages but the last end."""
        shares = self.stage_shares
        return [self._updates * sum(shares[:count]) // sum(shares) for count in range(1, len(shares))]

    def stage(self, num_updates: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """The stage of an update as its place in STAGES, and whether it begins there."""
        place = num_updates - self._updates * tf.minimum(num_updates // self._updates, self.rounds - 1)
        ends = tf.constant(self._ends)
        return tf.reduce_sum(tf.cast(place >= ends, tf.int32)), tf.reduce_any(place == tf.constant([0, *self._ends]))

    def is_random(self, num_updates: tf.Tensor) -> tf.Tensor:
        """Whether steps are collected at random: until there is a controller."""
        return num_updates < self._ends[-1]

    def make_parts(self, spec: EnvSpec) -> Parts:
        """Makes what the agent is put together from.

        Raises:
          ValueError: if observations are no pictures, or actions neither Discrete nor a Box.
        """
        picture_spec, to_picture = pictures(spec.observation_space, self.image_size)
        vision = networks.variational_autoencoder(picture_spec.shape.as_list(), self.latent_size, self.features)
        control = controls(spec.action_space, self.latent_size + self.memory_units)
        memory = networks.mixture_density_memory(
            self.latent_size, control.size, self.memory_units, self.mixture_components
        )
        strategy = optimizers.cma_es(self.population, self.initial_step_size)
        return Parts(vision, memory, control, picture_spec, to_picture, self.make_optimizer(), strategy)


class Parts(NamedTuple):
    """What the agent is put together from."""

    vision: networks.VariationalAutoencoder
    memory: networks.MixtureDensityMemory
    control: Controls
    picture_spec: tf.TensorSpec  # uint8[image_size, image_size, C]
    to_picture: Callable[[tf.Tensor], tf.Tensor]  # from observations [B, ...]
    optimizer: optimizers.Optimizer  # of V and of M
    strategy: optimizers.EvolutionStrategy


def to_image(pictures: tf.Tensor) -> tf.Tensor:
    """Bytes as V takes them, brightness of 0 to 1."""
    return tf.cast(pictures, tf.float32) / 255


def pictures(space: Any, size: int) -> tuple[tf.TensorSpec, Callable[[tf.Tensor], tf.Tensor]]:
    """Makes square pictures of bytes of observations: each pixel is the mean of what it covers.

    Raises:
      ValueError: if the space is not a Box `[H, W, C]` of bytes, or of truths or shares of 0 to 1.
    """
    if not (isinstance(space, spaces.Box) and is_picture(space)):
        raise ValueError(f"world_models needs pictures, a Box [H, W, C] of bytes or of 0 to 1, given {space}")
    is_bytes = space.dtype == np.uint8
    height, width, channels = space.shape

    def to_picture(observation: tf.Tensor) -> tf.Tensor:
        if is_bytes and height == width == size:
            return observation
        x = tf.cast(observation, tf.float32) * (1.0 if is_bytes else 255.0)
        x = tf.einsum("yh,bhwc->bywc", shares(height, size), x)
        return tf.cast(tf.round(tf.einsum("xw,bywc->byxc", shares(width, size), x)), tf.uint8)

    return tf.TensorSpec([size, size, channels], tf.uint8), to_picture


class Controls(NamedTuple):
    """Linear controllers, and actions as vectors: in half-widths of a Box, one-hot where they are Discrete."""

    size: int  # A, of a vector
    num_weights: int  # N, of a controller
    # weights [P, N], latents [P, S, Z] and the outputs of M [P, S, units] to vectors [P, S, A]
    choose: Callable[[tf.Tensor, tf.Tensor, tf.Tensor], tf.Tensor]
    # (key, vectors [B, A], probability) -> each of them, or another at random
    held: Callable[[random.Key, tf.Tensor, Scalar], tf.Tensor]
    to_action: Callable[[tf.Tensor], tf.Tensor]  # vectors [B, A] to actions of the environment


def controls(space: gymnasium.Space, num_features: int) -> Controls:
    """Makes the controllers of an action space.

    Raises:
      ValueError: if it is neither Discrete nor a Box.
    """
    if not isinstance(space, spaces.Discrete | spaces.Box):
        raise ValueError(f"world_models needs a Discrete action space or a Box, given {space}")
    is_choice = isinstance(space, spaces.Discrete)
    head = policies.policy_head(space)
    size = head.num_outputs if is_choice else head.num_outputs // 2
    kernel_size = num_features * size

    def vector(outputs: tf.Tensor) -> tf.Tensor:
        return tf.one_hot(tf.argmax(outputs, axis=-1), size) if is_choice else tf.tanh(outputs)

    def choose(weights: tf.Tensor, latent: tf.Tensor, hidden: tf.Tensor) -> tf.Tensor:
        kernel = tf.reshape(weights[:, :kernel_size], [weights.shape[0], num_features, size])
        outputs = product(tf.concat([latent, hidden], axis=-1), kernel)
        return vector(outputs + weights[:, tf.newaxis, kernel_size:])

    def held(key: random.Key, vectors: tf.Tensor, probability: Scalar) -> tf.Tensor:
        keep_key, draw_key = tf.unstack(random.split(key))
        batch = sizes_of(vectors)[0]
        keep = random.uniform(keep_key, [batch]) < probability
        if is_choice:
            fresh = tf.one_hot(random.randint(draw_key, [batch], 0, size), size)
        else:
            fresh = random.uniform(draw_key, [batch, size], -1.0, 1.0)
        # Where an episode begins there is none to keep; a Box takes 0.
        is_none = tf.reduce_all(vectors == 0, axis=-1)
        return tf.where((keep & ~is_none)[:, tf.newaxis], vectors, fresh)

    def to_action(vectors: tf.Tensor) -> tf.Tensor:
        return tf.argmax(vectors, axis=-1, output_type=tf.int32) if is_choice else head.to_action(vectors)

    return Controls(size, kernel_size + size, choose, held, to_action)
