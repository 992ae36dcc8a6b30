"""Groups of hyper-parameters that know what they make; an agent's struct is made of those it needs.

@dataclasses.dataclass(frozen=True)
class DQNHParams(EpsilonGreedyHParams, ReplayHParams, TorsoHParams, AdamHParams): ...
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import tensorflow as tf

from rl_fn import learning, networks, optimizers, random, replay, struct
from rl_fn._src import shards
from rl_fn.agents.base import ActorStep, Agent, Mode, stateless
from rl_fn.agents.hparams import HParams, field
from rl_fn.learning import Learned, OffPolicyPolicy, OffPolicyState
from rl_fn.struct import EnvSpec, Metrics, Nest, Scalar, Transition

Inputs = Callable[[Nest], tf.Tensor]  # from observations to what a network takes
EPSILON_SCHEDULES = ("linear", "exponential", "per_actor")


@dataclasses.dataclass(frozen=True)
class AdamHParams(HParams):
    """Of Adam, with the gradient's global norm clipped."""

    learning_rate: Scalar = field(1e-3, "Adam's step size at the start.", above=0.0)
    anneal_learning_rate: bool = field(False, "Whether the step size falls linearly to zero over the run.")
    adam_epsilon: Scalar = field(1e-8, "Adam's epsilon.", above=0.0)
    max_grad_norm: Scalar = field(10.0, "Global norm to which gradients are clipped.", above=0.0)

    def make_optimizer(self, steps_per_update: int = 1, num_updates: tf.Tensor | None = None) -> optimizers.Optimizer:
        """Makes the optimiser; see `_rate` for its arguments."""
        adam = optimizers.adam(_rate(self, steps_per_update, num_updates), epsilon=self.adam_epsilon)
        return optimizers.flatten(optimizers.chain(optimizers.clip_by_global_norm(self.max_grad_norm), adam))


@dataclasses.dataclass(frozen=True)
class RMSPropHParams(HParams):
    """Of RMSProp, with the gradient's global norm clipped."""

    learning_rate: Scalar = field(7e-4, "RMSProp's step size at the start.", above=0.0)
    anneal_learning_rate: bool = field(False, "Whether the step size falls linearly to zero over the run.")
    rmsprop_decay: Scalar = field(0.99, "Decay of the running mean of squared gradients.", low=0.0, high=0.9999)
    rmsprop_epsilon: Scalar = field(1e-5, "Added to the root of that mean.", above=0.0)
    max_grad_norm: Scalar = field(0.5, "Global norm to which gradients are clipped.", above=0.0)

    def make_optimizer(self, steps_per_update: int = 1, num_updates: tf.Tensor | None = None) -> optimizers.Optimizer:
        """Makes the optimiser; see `_rate` for its arguments."""
        rate = _rate(self, steps_per_update, num_updates)
        rms = optimizers.rmsprop(rate, self.rmsprop_decay, self.rmsprop_epsilon, epsilon_inside_sqrt=False)
        return optimizers.flatten(optimizers.chain(optimizers.clip_by_global_norm(self.max_grad_norm), rms))


@dataclasses.dataclass(frozen=True)
class LaPropHParams(HParams):
    """Of LaProp, with each parameter's gradient clipped by the parameter's norm."""

    learning_rate: Scalar = field(1e-3, "LaProp's step size at the start.", above=0.0)
    anneal_learning_rate: bool = field(False, "Whether the step size falls linearly to zero over the run.")
    grad_clip: Scalar = field(0.3, "Norm of a gradient, relative to that of its parameter.", above=0.0)

    def make_optimizer(self, steps_per_update: int = 1, num_updates: tf.Tensor | None = None) -> optimizers.Optimizer:
        """Makes the optimiser; see `_rate` for its arguments."""
        laprop = optimizers.laprop(_rate(self, steps_per_update, num_updates))
        return optimizers.chain(optimizers.adaptive_grad_clip(self.grad_clip), optimizers.flatten(laprop))


def _rate(
    hparams: AdamHParams | RMSPropHParams | LaPropHParams, steps_per_update: int, num_updates: tf.Tensor | None
) -> Scalar | optimizers.Schedule:
    """The step size; if it is annealed it falls with each update.

    Updates that learn have `steps_per_update` gradient steps each. Where some have fewer, `num_updates` says how many
    there were so far, and the step size is that of the next one.
    """
    if not hparams.anneal_learning_rate:
        return hparams.learning_rate
    annealed = optimizers.linear_schedule(hparams.learning_rate, 0.0, hparams.num_learning_updates)
    return optimizers.staircase(annealed, steps_per_update) if num_updates is None else annealed(num_updates)


@dataclasses.dataclass(frozen=True)
class TorsoHParams(HParams):
    """Of what reads the observation."""

    torso: str = field("mlp", "What reads the observation.", choices=networks.TORSOS)
    hidden_sizes: tuple[int, ...] = field((128, 128), "Widths of the hidden layers.")

    def make_torso(self, spec: EnvSpec) -> tuple[networks.Network, tf.TensorSpec, Inputs]:
        """Makes the torso; see `networks.torso`."""
        return networks.torso(self.torso, spec.observation_space, self.hidden_sizes)


@dataclasses.dataclass(frozen=True)
class ActorCriticHParams(HParams):
    """Of a policy and a value in one network, with a memory where there is something to remember."""

    torso: str = field("mlp", "What reads the observation.", choices=networks.TORSOS)
    hidden_sizes: tuple[int, ...] = field((64, 64), "Widths of the hidden layers of policy and value.")
    activation: str = field("tanh", "After each hidden layer.", choices=tuple(networks.ACTIVATIONS))
    shared_torso: bool = field(False, "Whether policy and value share their hidden layers.")
    memory: str = field("none", "Recurrent network between torso and heads.", choices=networks.MEMORIES)
    memory_units: int = field(64, "Size of the memory.", low=1)
    initial_stddev: Scalar = field(0.5, "Of a Box's actions at the start, in half-widths of the Box.", above=0.0)
    state_dependent_stddev: bool = field(False, "Whether the deviation of a Box's actions depends on the state.")
    entropy_cost: Scalar = field(0.01, "Weight of the entropy bonus.", low=0.0)
    value_cost: Scalar = field(0.5, "Weight of the value loss.", low=0.0)

    def make_network(
        self, spec: EnvSpec, policy: networks.Network | None = None
    ) -> tuple[networks.ActorCritic, tf.TensorSpec, Inputs]:
        """Makes the network, with a last layer of the policy or the usual; see `networks.policy_and_value`."""
        return networks.policy_and_value(
            spec.observation_space,
            policy or self.make_policy_layer(spec),
            torso=self.torso,
            hidden_sizes=self.hidden_sizes,
            activation=self.activation,
            shared_torso=self.shared_torso,
            memory=self.memory,
            memory_units=self.memory_units,
        )

    def make_policy_layer(self, spec: EnvSpec) -> networks.Network:
        """Makes the usual last layer of the policy; Huang et al. (2022), details 2 and 3 for continuous actions."""
        scale, init = (self.initial_stddev, self.state_dependent_stddev), networks.orthogonal(0.01)
        return networks.policy_layer(spec.action_space, init, *scale)


@dataclasses.dataclass(frozen=True)
class VTraceHParams(ActorCriticHParams, AdamHParams):
    """Of gradient steps on a whole rollout of a policy that may be older, whose targets V-trace corrects."""

    num_envs: int = 16
    rollout_length: int = 20
    actor_lag: int = 1
    anneal_learning_rate: bool = True
    adam_epsilon: Scalar = 1e-5
    max_grad_norm: Scalar = 1.0
    num_epochs: int = field(1, "Gradient steps on each rollout.", low=1)
    trace_lambda: Scalar = field(1.0, "Lambda of V-trace.", low=0.0, high=1.0)
    clip_rho: Scalar = field(1.0, "The largest ratio in the targets.", above=0.0)


@dataclasses.dataclass(frozen=True)
class ReplayHParams(HParams):
    """Of what is kept for replay, and how much is learned from it."""

    replay_capacity: int = field(50_000, "Transitions kept for replay.", low=1)
    learning_starts: int = field(1_000, "Transitions collected before the first gradient step.", low=1)
    batch_size: int = field(64, "Transitions per gradient step.", low=1)
    gradient_steps: int = field(1, "Gradient steps per update.", low=1)
    n_step: int = field(1, "Steps of reward before a target bootstraps.", low=1)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.learning_starts > self.replay_capacity:
            raise ValueError(
                f"learning_starts is {self.learning_starts}, expected at most replay_capacity = {self.replay_capacity}"
            )
        if self.batch_size > self.replay_capacity:
            raise ValueError(
                f"batch_size is {self.batch_size}, expected at most replay_capacity = {self.replay_capacity}"
            )
        if self.learning_starts <= self._num_waiting:
            raise ValueError(
                f"learning_starts is {self.learning_starts}, expected more than (n_step - 1) * num_envs = "
                f"{self._num_waiting}, the transitions that wait for their last step"
            )

    @property
    def _num_waiting(self) -> int:
        return (self.n_step - 1) * self.num_envs

    @property
    def num_learning_updates(self) -> int:
        """See HParams: all but those before there are `learning_starts` steps."""
        return max(self.num_iterations - -(-self.learning_starts // self.schedule.steps) + 1, 1)

    def step_spec(self, spec: EnvSpec, **extras: tf.TensorSpec) -> Transition:
        """What a step is made of, with what the update needs of the acting."""
        observation, action = struct.space_spec(spec.observation_space), struct.space_spec(spec.action_space)
        flag, number = tf.TensorSpec((), tf.bool), tf.TensorSpec((), tf.float32)
        return Transition(observation, action, number, flag, flag, observation, extras)

    def make_store(self, spec: EnvSpec) -> replay.Store:
        """Makes what keeps the transitions: items are `replay.NStepTransition`s."""
        return replay.n_step_items(
            self.replay_capacity, self.step_spec(spec), num_streams=self.num_envs, n=self.n_step, gamma=self.gamma
        )

    def make_replay(self, spec: EnvSpec) -> replay.Replay:
        """Makes the buffer, sampled uniformly."""
        return replay.uniform_from(self.make_store(spec))

    def make_agent(
        self,
        buffer: replay.Replay,
        init_learner: Callable[[random.Key], Any],
        choose: Callable[[OffPolicyPolicy, Nest, random.Key, Mode], tf.Tensor],
        gradient_step: Callable[[Any, replay.Sample, random.Key], tuple[Any, Learned]],
        *,
        beta: Callable[[tf.Tensor], Any] = lambda num_updates: 1.0,
        report: Callable[[OffPolicyState], Metrics] = lambda state: {},
        shared: bool = True,
    ) -> Agent:
        """Makes an agent that learns from replay.

        Args:
          buffer: from `make_replay`.
          init_learner: makes what a gradient step changes, with `actor_params`, what acts.
          choose: `(policy, observation, key, mode) -> action`.
          gradient_step: `(learner, sample, key) -> (learner, learned)`.
          beta: the exponent of the importance weights, by the number of updates so far.
          report: more metrics, of the state before an update.
          shared: see `learning.update_from_replay`.
        """

        def act(
            policy: OffPolicyPolicy, actor_state: Nest, observation: Nest, key: random.Key, mode: Mode
        ) -> ActorStep:
            return ActorStep(choose(policy, observation, key, mode), actor_state, {})

        more: dict[str, Any] = {"beta": beta, "report": report, "shared": shared}
        return self.make_agent_with_state(buffer, init_learner, stateless, act, gradient_step, **more)

    def make_agent_with_state(
        self,
        buffer: replay.Replay,
        init_learner: Callable[[random.Key], Any],
        init_actor: Callable[[int], Nest],
        act: Callable[[OffPolicyPolicy, Nest, Nest, random.Key, Mode], ActorStep],
        gradient_step: Callable[[Any, replay.Sample, random.Key], tuple[Any, Learned]],
        *,
        min_items: int | None = None,
        to_items: Callable[[Transition], Nest] | None = lambda trajectory: trajectory._replace(extras={}),
        beta: Callable[[tf.Tensor], Any] = lambda num_updates: 1.0,
        report: Callable[[OffPolicyState], Metrics] = lambda state: {},
        shared: bool = True,
    ) -> Agent:
        """As `make_agent`, for actors that carry something from step to step.

        Args:
          buffer: as there.
          init_learner: as there.
          init_actor: see `Agent`.
          act: see `Agent`.
          gradient_step: as there.
          min_items: before the first gradient step; unless given those of `learning_starts`.
          to_items: from a trajectory to what the buffer adds.
          beta: as there.
          report: as there.
          shared: as there.

        Raises:
          ValueError: if the buffer never holds so many items.
        """
        waits_for = self.learning_starts - self._num_waiting if min_items is None else min_items
        if buffer.store and waits_for > buffer.store.max_items:
            raise ValueError(
                f"learning_starts is {self.learning_starts}, which waits for {waits_for} items of the replay, expected "
                f"less, or more than replay_capacity = {self.replay_capacity}: it keeps {buffer.store.max_items}"
            )
        learn = learning.update_from_replay(
            buffer,
            gradient_step,
            batch_size=self.batch_size,
            gradient_steps=self.gradient_steps,
            min_items=waits_for,
            beta=beta,
            to_items=to_items,
            shared=shared,
        )

        def init(key: random.Key) -> OffPolicyState:
            return OffPolicyState(init_learner(key), buffer.init(), num_updates=tf.constant(0))

        def update(state: OffPolicyState, trajectory: Transition, key: random.Key) -> tuple[OffPolicyState, Metrics]:
            successor, metrics = learn(state, trajectory, key)
            held = {"replay/size": tf.cast(buffer.store.count(successor.replay), tf.float32)} if buffer.store else {}
            return successor, {**metrics, **held, **report(state)}

        def cut(state: OffPolicyState) -> OffPolicyState:
            return state._replace(replay=buffer.cut(state.replay))

        return Agent(self.schedule, init, init_actor, act, update, cut, max_policy_lag=None)


@dataclasses.dataclass(frozen=True)
class SequenceReplayHParams(ReplayHParams):
    """Of replayed sequences, which are cut out of what is there: no step waits for others."""

    @property
    def _num_waiting(self) -> int:
        return 0

    def min_sequences(self, length: int, period: int = 1) -> int:
        """Sequences of that many steps, one from every `period`-th on, that are there after `learning_starts` steps."""
        steps = self.learning_starts // self.num_envs - length
        return self.num_envs * max(steps // period + 1, 1)


@dataclasses.dataclass(frozen=True)
class PrioritizedReplayHParams(ReplayHParams):
    """Of replay in proportion to priorities (Schaul et al., 2016), or uniform."""

    prioritized: bool = field(True, "Whether transitions are sampled by their errors; uniformly if not.")
    priority_exponent: Scalar = field(0.5, "How much priorities count in sampling.", low=0.0)
    importance_exponent: Scalar = field(0.4, "Of the importance weights at the start; 1 at the end.", low=0.0, high=1.0)

    def make_replay(self, spec: EnvSpec) -> replay.Replay:
        """Makes the buffer."""
        store = self.make_store(spec)
        return (
            replay.prioritized_from(store, self.priority_exponent) if self.prioritized else replay.uniform_from(store)
        )

    @property
    def beta(self) -> optimizers.Schedule:
        """The exponent of the importance weights, by the number of updates so far."""
        return optimizers.linear_schedule(self.importance_exponent, 1.0, self.num_iterations)


@dataclasses.dataclass(frozen=True)
class EpsilonGreedyHParams(HParams):
    """Of exploration by random actions, which become fewer in time or from actor to actor."""

    epsilon_initial: Scalar = field(1.0, "Probability of a random action at the start.", low=0.0, high=1.0)
    epsilon_final: Scalar = field(0.05, "Probability of a random action after exploration.", low=0.0, high=1.0)
    epsilon_schedule: str = field("linear", "How it gets from one to the other.", choices=EPSILON_SCHEDULES)
    exploration_fraction: Scalar = field(0.2, "Share of the run over which epsilon falls.", above=0.0, high=1.0)

    def epsilon(self, num_updates: tf.Tensor, num_actors: int) -> tf.Tensor:
        """The probabilities of a random action, `[]` or `[num_actors]`.

        From the initial one to the final one over a part of the run, in a straight line or by a constant factor per
        update; or by a constant factor from actor to actor and always the same: Horgan et al. (2018), "Distributed
        prioritized experience replay", section 4, is from 0.4 to 0.4 ** 8.

        Args:
          num_updates: so far.
          num_actors: side by side.
        """
        first, last = tf.cast(self.epsilon_initial, tf.float32), tf.cast(self.epsilon_final, tf.float32)
        if self.epsilon_schedule == "per_actor":
            numbers, num_actors = shards.row_numbers(num_actors)
            return _geometric(first, last, tf.cast(numbers, tf.float32) / max(num_actors - 1, 1))
        steps = tf.maximum(1.0, self.exploration_fraction * self.num_iterations)
        if self.epsilon_schedule == "linear":
            return optimizers.linear_schedule(first, last, steps)(num_updates)
        return _geometric(first, last, optimizers.linear_schedule(0.0, 1.0, steps)(num_updates))

    def of_actors(self, first: int, count: int) -> HParams:
        """See HParams: where each actor has a probability of its own, these have theirs."""
        if self.epsilon_schedule != "per_actor":
            return self
        each = self.epsilon(tf.constant(0), self.num_envs)
        return self.override(epsilon_initial=each[first], epsilon_final=each[first + count - 1])

    def report_epsilon(self, state: Any) -> Metrics:
        """The mean over actors of what the acting policy explored with, for a state with `num_updates`."""
        acting = tf.maximum(state.num_updates - self.schedule.actor_lag, 0)
        return {"epsilon": tf.reduce_mean(self.epsilon(acting, self.num_envs))}


def _geometric(first: tf.Tensor, last: tf.Tensor, fraction: tf.Tensor) -> tf.Tensor:
    """From `first` to `last` by a constant factor; zeros count as 1e-6 on the way."""
    low, high = tf.math.log(tf.maximum(first, 1e-6)), tf.math.log(tf.maximum(last, 1e-6))
    return tf.where(fraction <= 0, first, tf.where(fraction >= 1, last, tf.exp(low + (high - low) * fraction)))
