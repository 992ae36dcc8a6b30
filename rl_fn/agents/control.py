"""Groups of hyper-parameters of agents with a policy and critics that learn from replay."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import tensorflow as tf
from gymnasium import spaces

from rl_fn import learning, networks, policies, random, replay
from rl_fn._src import scalars
from rl_fn._src.shapes import sizes_of
from rl_fn.agents.base import ActorStep, Agent, Mode, stateless
from rl_fn.agents.groups import PrioritizedReplayHParams
from rl_fn.agents.hparams import field
from rl_fn.learning import Learned, OffPolicyPolicy
from rl_fn.struct import EnvSpec, Nest, Scalar

POLICY_METRICS = ("actor_loss", "actor_grad_norm", "actor_learning_rate")
# Scales of the entropy aimed at: discrete actions have at most twice the usual one, and an axis of a Box at most log 2.
_OF_DISCRETE, _OF_BOX = "(-inf, 2)", f"({-math.log(2):.4f}, inf)"


@dataclasses.dataclass(frozen=True)
class ControlHParams(PrioritizedReplayHParams):
    """Of a policy and critics that learn from replay.

    Where observations are images, an encoder that the critics train reads them for the policy, too.
    """

    num_envs: int = 1
    replay_capacity: int = 100_000
    batch_size: int = 256
    prioritized: bool = False
    encoder: str = field("flatten", "What reads the observation.", choices=networks.ENCODERS)
    random_shift: int = field(0, "Pixels by which images are shifted at random when they are replayed.", low=0)
    hidden_sizes: tuple[int, ...] = field((256, 256), "Widths of the hidden layers of policy and critics.")
    actor_learning_rate: Scalar = field(3e-4, "Adam's step size for the policy.", above=0.0)
    critic_learning_rate: Scalar = field(1e-3, "Adam's step size for the critics.", above=0.0)
    noise_damping: Scalar = field(
        1.0,
        "How fast noise of actions in a Box returns to zero: at 1 it is Gaussian, below an Ornstein-Uhlenbeck process.",
        above=0.0,
        high=1.0,
    )

    def make_encoder(self, spec: EnvSpec) -> networks.Encoder:
        """Makes what reads the observation; see `networks.encoder`.

        Raises:
          ValueError: if it cannot, or observations are to be shifted that are no images.
        """
        space = spec.observation_space
        if self.random_shift and not (isinstance(space, spaces.Box) and len(space.shape) == 3):
            raise ValueError(
                f"random_shift is {self.random_shift}, expected 0 where observations are not images [H, W, C]: "
                f"{spec.name} has {space}"
            )
        return networks.encoder(self.encoder, space)

    def make_mlp(self, num_outputs: int) -> networks.Network:
        """Makes the network of the policy, or of a critic."""
        return networks.mlp((*self.hidden_sizes, num_outputs))

    def uniform_at_first(self, key: random.Key, spec: EnvSpec, policy: OffPolicyPolicy, action: tf.Tensor) -> tf.Tensor:
        """Random actions until learning starts; see `learning.uniform_at_first`."""
        num_steps = tf.cast(policy.num_updates, tf.int64) * self.schedule.steps  # which int32 may not hold
        return learning.uniform_at_first(key, spec.action_space, action, num_steps, self.learning_starts)

    def make_stochastic(
        self,
        spec: EnvSpec,
        encoder: networks.Encoder,
        actor: networks.Network,
        act: Callable[[tf.Tensor, tf.Tensor, random.Key, bool], tf.Tensor],
        noise_size: int,
        init_learner: Callable[[random.Key], Any],
        gradient_step: Callable[[Any, replay.Sample, random.Key], tuple[Any, Learned]],
        *,
        shared: bool = True,
    ) -> Agent:
        """Makes the agent of a stochastic policy: `act` is `(outputs, noise, key, explore) -> actions`.

        Each actor has noise `[noise_size]` of its own, of N(0, 1). Where `noise_damping` is below 1 it begins at zero
        with every episode, and follows on that of the step before (Eberhard et al., 2023, "Pink noise is all you need:
        colored noise exploration in deep reinforcement learning"). Gradient steps know nothing of it.
        """
        damping = tf.cast(self.noise_damping, tf.float32)
        stddev = tf.sqrt(damping * (2 - damping))  # with which the process keeps a variance of 1
        # A number that says that nothing follows needs no state; of a tensor that is not known yet.
        follows = noise_size > 0 and (tf.is_tensor(self.noise_damping) or self.noise_damping != 1)

        def init_noise(batch_size: int) -> tf.Tensor:
            return tf.zeros([batch_size, noise_size])

        def step(policy: OffPolicyPolicy, before: Nest, observation: Nest, key: random.Key, mode: Mode) -> ActorStep:
            params, encoder_params = policy.params
            outputs = actor.apply(params, encoder.apply(encoder_params, observation))
            noise = before if follows else init_noise(sizes_of(outputs)[0])
            if mode == "eval":
                return ActorStep(act(outputs, noise, key, False), before, {})
            noise_key, key, warm_key = tf.unstack(random.split(key, 3), num=3)
            noise = policies.ornstein_uhlenbeck(noise_key, noise, damping=damping, stddev=stddev)
            action = self.uniform_at_first(warm_key, spec, policy, act(outputs, noise, key, True))
            return ActorStep(action, noise if follows else before, {})

        init_actor = init_noise if follows else stateless
        return self.make_agent_with_state(
            self.make_replay(spec), init_learner, init_actor, step, gradient_step, shared=shared
        )

    def make_agent_with_state(
        self,
        buffer: replay.Replay,
        init_learner: Callable[[random.Key], Any],
        init_actor: Callable[[int], Nest],
        act: Callable[[OffPolicyPolicy, Nest, Nest, random.Key, Mode], ActorStep],
        gradient_step: Callable[[Any, replay.Sample, random.Key], tuple[Any, Learned]],
        **more: Any,
    ) -> Agent:
        """Makes the agent; importance weights follow their schedule, and images are shifted if they are to be."""

        def shifted_step(learner: Any, sample: replay.Sample, key: random.Key) -> tuple[Any, Learned]:
            items, keys = sample.items, tf.unstack(random.split(random.fold_in(key, 0)))
            seen = learning.random_shift(keys[0], items.observation, self.random_shift)
            following = learning.random_shift(keys[1], items.next_observation, self.random_shift)
            items = items._replace(observation=seen, next_observation=following)
            return gradient_step(learner, sample._replace(items=items), key)

        step = shifted_step if self.random_shift else gradient_step
        return super().make_agent_with_state(buffer, init_learner, init_actor, act, step, **{"beta": self.beta, **more})


@dataclasses.dataclass(frozen=True)
class SoftTargetHParams(ControlHParams):
    """Of target parameters that move with each gradient step."""

    target_step_size: Scalar = field(0.005, "How far the targets move per gradient step.", above=0.0, high=1.0)


@dataclasses.dataclass(frozen=True)
class EntropyHParams(ControlHParams):
    """Of a policy whose entropy is part of its return, with a temperature that is learned."""

    policy_delay: int = field(1, "Gradient steps of the critics between two of the policy.", low=1)
    temperature_learning_rate: Scalar = field(1e-3, "Adam's step size for the temperature.", above=0.0)
    initial_temperature: Scalar = field(1.0, "Weight of the entropy at the start.", above=0.0)
    target_entropy_scale: Scalar = field(1.0, "Of the entropy aimed at: -1 per axis of a Box, half the largest else.")

    def target_entropy(self, policy: learning.SoftPolicy) -> Scalar:
        """The entropy aimed at, in nats, by a policy in [-1, 1] per axis of a Box, or of discrete actions.

        Raises:
          ValueError: where no policy has as much, so that the temperature would rise for ever.
        """
        interval = _OF_BOX if policy.noise_size else _OF_DISCRETE
        scalars.check("target_entropy_scale", self.target_entropy_scale, interval)
        return self.target_entropy_scale * policy.target_entropy


@dataclasses.dataclass(frozen=True)
class NoisyControlHParams(SoftTargetHParams):
    """Of a deterministic policy, to whose actions noise is added while it learns."""

    actor_learning_rate: Scalar = 1e-3
    exploration_noise: Scalar = field(0.1, "Deviation of the noise of a step, where actions are in [-1, 1].", low=0.0)

    def make_noisy(
        self,
        spec: EnvSpec,
        policy: learning.DirectPolicy,
        init_learner: Callable[[random.Key], Any],
        outputs: Callable[[Nest, Nest], tf.Tensor],
        gradient_step: Callable[[Any, replay.Sample, random.Key], tuple[Any, Learned]],
    ) -> Agent:
        """Makes the agent of a policy and its network, `(actor_params, observation [B, ...]) -> outputs [B, A]`.

        Each actor has noise of its own, which begins at zero with every episode and is off in evaluation.
        """

        def init_noise(batch_size: int) -> tf.Tensor:
            return tf.zeros([batch_size, policy.size])

        def act(acting: OffPolicyPolicy, noise: tf.Tensor, observation: Nest, key: random.Key, mode: Mode) -> ActorStep:
            at_work = outputs(acting.params, observation)
            if mode == "eval":
                return ActorStep(policy.to_action(policy.greedy(at_work)), noise, {})
            noise_key, warm_key = tf.unstack(random.split(key))
            noise = policies.ornstein_uhlenbeck(
                noise_key, noise, damping=self.noise_damping, stddev=self.exploration_noise
            )
            action = policy.to_action(policy.draw(at_work, random.fold_in(key, 0)) + noise)
            return ActorStep(self.uniform_at_first(warm_key, spec, acting, action), noise, {})

        return self.make_agent_with_state(self.make_replay(spec), init_learner, init_noise, act, gradient_step)


def init_critics(encoder: networks.Encoder, critics: Any, spec: tf.TensorSpec, key: random.Key) -> dict[str, Nest]:
    """Parameters of critics, which take inputs of that specification, and of the encoder that they train."""
    return {"encoder": encoder.init(random.fold_in(key, 0)), "values": critics.init(key, spec)}


def bounded_box(agent: str, spec: EnvSpec) -> spaces.Box:
    """The action space; raises ValueError if it is not a Box with finite bounds."""
    space = spec.action_space
    if not (isinstance(space, spaces.Box) and space.is_bounded()):
        raise ValueError(f"{agent} needs a Box of actions with finite bounds, {spec.name} has {space}")
    return space
