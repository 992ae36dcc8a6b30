"""What agents that learn on their policy have in common: acting, running normalisation, a rollout to learn from."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

import tensorflow as tf
from gymnasium import spaces

from rl_fn import learning, networks, policies, random
from rl_fn.agents.base import ActorStep, Agent, Mode, actor_step, check_divides, check_trajectory
from rl_fn.agents.groups import ActorCriticHParams, Inputs
from rl_fn.agents.hparams import field
from rl_fn.learning import OnPolicyPolicy, OnPolicyState, Rollout, Sequences
from rl_fn.normalization import RewardNormalizer, RunningMoments
from rl_fn.struct import EnvSpec, Metrics, Nest, Scalar, Transition


class Model(NamedTuple):
    """What an agent's functions work with."""

    network: networks.ActorCritic  # from inputs to the outputs of the policy's head and to values
    head: policies.PolicyHead  # from these outputs to distributions of raw actions
    input_spec: tf.TensorSpec
    to_inputs: Inputs
    num_features: int = 0  # that reach the policy's last layer, where noise is a function of them


@dataclasses.dataclass(frozen=True)
class OnPolicyHParams(ActorCriticHParams):
    """Of an actor-critic that learns from each rollout and forgets it."""

    normalize_advantages: bool = field(True, "Whether advantages are normalised over those of a gradient step.")
    normalize_observations: bool = field(False, "Whether observations are normalised by running moments.")
    normalize_rewards: bool = field(False, "Whether rewards are scaled by the deviation of returns.")
    noise_period: int = field(0, "Steps that a Box's noise is a function of the state alone; 0 for plain noise.", low=0)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.normalize_advantages and self.normalized_steps == 1:
            names = [name for name in ("num_envs", "rollout_length", "num_minibatches") if hasattr(self, name)]
            given = ", ".join(f"{name} = {getattr(self, name)}" for name in names)
            raise ValueError(
                "normalize_advantages is True, expected False for advantages of one step alone, which would be 0: "
                f"{given} is one step per gradient step"
            )

    @property
    def normalized_steps(self) -> int:
        """The most steps whose advantages are normalised together."""
        return self.schedule.steps

    def make_policy_layer(self, spec: EnvSpec) -> networks.Network:
        """Makes the last layer of the policy: the usual one, or that of generalised state-dependent exploration."""
        if not self.noise_period:
            return super().make_policy_layer(spec)
        if not isinstance(spec.action_space, spaces.Box) or self.state_dependent_stddev:
            raise ValueError(
                f"noise_period is {self.noise_period}, expected 0 for {spec.action_space} "
                f"with state_dependent_stddev = {self.state_dependent_stddev}: such noise is for a Box, and has its own"
            )
        log_stddev = tf.math.log(tf.cast(self.initial_stddev, tf.float32))
        size = policies.policy_head(spec.action_space).num_outputs // 2
        return networks.noisy_features(size, networks.orthogonal(0.01), log_stddev)

    def make_model(self, spec: EnvSpec) -> Model:
        """Makes the network and the policy's head; raises ValueError without a policy for the action space."""
        network, input_spec, to_inputs = self.make_network(spec)
        width = self._num_features(spec) if self.noise_period else 0
        return Model(network, policies.policy_head(spec.action_space), input_spec, to_inputs, width)

    def _num_features(self, spec: EnvSpec) -> int:
        if self.memory != "none":
            return self.memory_units
        torso, input_spec, _ = networks.torso(self.torso, spec.observation_space, self.hidden_sizes)
        return networks.output_spec(torso, torso.init(random.key(0), input_spec), input_spec).shape[-1]

    def make_agent(
        self,
        model: Model,
        init_learner: Callable[[random.Key], Any],
        learn: Callable[[Any, Rollout, random.Key], tuple[Any, Metrics]],
        *,
        cut: Callable[[Any], Any] = lambda learner: learner,
    ) -> Agent:
        """Makes an agent.

        Args:
          model: from `make_model`.
          init_learner: makes what learning changes; its `params` are those of the model's network.
          learn: `(learner, rollout, key) -> (learner, metrics)`.
          cut: of the learner, as `Agent.cut`.
        """

        def init(key: random.Key) -> OnPolicyState:
            moments = RunningMoments.init(model.input_spec)
            return OnPolicyState(init_learner(key), moments, RewardNormalizer.init(self.num_envs))

        def normalized(moments: RunningMoments, observation: Nest) -> tf.Tensor:
            inputs = model.to_inputs(observation)
            return moments.normalize(inputs, clip=10.0) if self.normalize_observations else inputs

        size, width = model.head.num_outputs, model.num_features
        num_draws = width * size // 2

        def init_actor(batch_size: int) -> Nest:
            recurrent_state = model.network.initial_state(batch_size)
            if not self.noise_period:
                return recurrent_state
            return recurrent_state, learning.no_noise(batch_size, num_draws)

        def act(policy: OnPolicyPolicy, actor_state: Nest, observation: Nest, key: random.Key, mode: Mode) -> ActorStep:
            carried: Nest = actor_state if self.noise_period else (actor_state, ())
            recurrent_state, noise = carried
            inputs = normalized(policy.observations, observation)
            (outputs, value), after = model.network.step(policy.params, recurrent_state, inputs)
            extras = {"value": value, "outputs": outputs[..., :size], "recurrent_state": recurrent_state}
            if not self.noise_period:
                return actor_step(model.head, outputs, key, mode, after, **extras)
            noise = learning.held_noise(key, noise, self.noise_period)
            scales = outputs[:, size : size + num_draws]
            away = tf.reduce_sum(tf.reshape(noise.draws * scales, [-1, width, size // 2]), axis=1)
            draw = lambda key, distribution: distribution.mean() + away
            return actor_step(model.head, outputs, key, mode, (after, noise), draw, **extras)

        def update(state: OnPolicyState, trajectory: Transition, key: random.Key) -> tuple[OnPolicyState, Metrics]:
            check_trajectory(self.schedule, trajectory)
            moments, rewards, reward = state.observations, state.rewards, trajectory.reward
            if self.normalize_rewards:
                rewards = rewards.update(reward, trajectory.is_last, self.gamma)
                reward = rewards.normalize(reward, clip=10.0)
            rollout = Rollout(
                **trajectory.extras,
                inputs=normalized(moments, trajectory.observation),
                next_inputs=normalized(moments, trajectory.next_observation),
                is_first=trajectory.is_first,
                is_last=trajectory.is_last,
                reward=reward,
                discount=trajectory.discount(self.gamma),
            )
            learner, metrics = learn(state.learner, rollout, key)
            if self.normalize_observations:
                moments = moments.update(model.to_inputs(trajectory.observation))
            return OnPolicyState(learner, moments, rewards), metrics

        def cut_state(state: OnPolicyState) -> OnPolicyState:
            rewards = state.rewards
            if self.normalize_rewards:
                rewards = rewards._replace(returns=tf.zeros_like(rewards.returns))
            return state._replace(learner=cut(state.learner), rewards=rewards)

        return Agent(self.schedule, init, init_actor, act, update, cut_state)


@dataclasses.dataclass(frozen=True)
class AdvantageHParams(OnPolicyHParams):
    """Of one that learns from generalised advantage estimates."""

    gae_lambda: Scalar = field(0.95, "Lambda of generalised advantage estimation.", low=0.0, high=1.0)

    def advantages(self, model: Model, params: Nest, rollout: Rollout) -> tf.Tensor:
        """Advantages `[T, B]`; see `learning.advantages`."""
        return learning.advantages(model.network, params, rollout, self.gae_lambda)


@dataclasses.dataclass(frozen=True)
class PassesHParams(AdvantageHParams):
    """Of several passes over each rollout, in minibatches of sequences."""

    rollout_length: int = 128
    sequence_length: int = field(1, "Steps of back-propagation through time; divides rollout_length.", low=1)
    num_epochs: int = field(4, "Passes over each rollout.", low=1)
    num_minibatches: int = field(4, "Minibatches per pass; divides the number of sequences.", low=1)

    def __post_init__(self) -> None:
        super().__post_init__()
        num_sequences = self.schedule.steps // self.sequence_length
        check_divides("sequence_length", self.sequence_length, "rollout_length", self.rollout_length)
        check_divides("num_minibatches", self.num_minibatches, "the number of sequences", num_sequences)

    @property
    def normalized_steps(self) -> int:
        """See OnPolicyHParams: those of a minibatch."""
        return -(-self.schedule.steps // self.num_minibatches)

    @property
    def gradient_steps(self) -> int:
        """Of each update."""
        return self.num_epochs * self.num_minibatches

    def passes(
        self,
        gradient_step: Callable[[Nest, Sequences], tuple[Nest, Metrics]],
        carry: Nest,
        rollout: Rollout,
        advantage: tf.Tensor,
        key: random.Key,
        stop: Callable[[Metrics], tf.Tensor] | None = None,
        *,
        shared: bool = True,
    ) -> tuple[Nest, Metrics]:
        """Gradient steps on a rollout; see `learning.over_minibatches`."""
        sequences = learning.sequences_of(rollout, advantage, self.sequence_length)
        passes = self.num_epochs, self.num_minibatches
        return learning.over_minibatches(gradient_step, carry, sequences, key, *passes, stop, shared=shared)


def value_metrics(rollout: Rollout, advantage: tf.Tensor) -> Metrics:
    """How well the values said what came."""
    return {"explained_variance": learning.explained_variance(rollout.value, rollout.value + advantage)}
