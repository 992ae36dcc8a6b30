"""An agent's updates beside its acting on the host: in turn with it, or lagging behind it in a thread."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, NamedTuple, Protocol

import numpy as np
import tensorflow as tf

from rl_fn import random
from rl_fn._src.loops import answers
from rl_fn._src.loops.compile import Compiled, compile_once
from rl_fn._src.loops.host_actors import Act, PolicyAndKey, act_function, iteration_keys
from rl_fn.agents.base import Agent
from rl_fn.struct import Metrics, Nest, Transition


class HostState(NamedTuple):
    """Everything of a run but its environments."""

    agent: Any
    key: tf.Tensor  # uint32[2]: never changes; an iteration folds its number in
    iteration: tf.Tensor  # int32[]: rollouts (and updates) so far


def init_host_state(agent: Agent, key: random.Key) -> HostState:
    """The state at the start of a run; the agent begins as it would in compiled environments."""
    agent_key, _, run_key = tf.unstack(random.split(key, 3))
    return HostState(answers.begun(agent, agent_key), run_key, iteration=tf.constant(0))


def host_step(agent: Agent) -> Callable[[HostState, Transition], tuple[HostState, Metrics]]:
    """Makes the compiled half of an iteration, the agent's update: `(state, trajectory) -> (state, metrics)`."""

    def step(state: HostState, trajectory: Transition) -> tuple[HostState, Metrics]:
        _, update_key, _ = iteration_keys(state.key, state.iteration)
        agent_state, metrics = answers.updated(agent, state.agent, trajectory, update_key)
        return HostState(agent_state, state.key, state.iteration + 1), metrics

    return step


class Learner(Protocol):
    """What acts in the next rollout, and where its trajectory goes."""

    def acting(self) -> Act:
        """What acts in the next rollout; waits for the update that it comes from. Once per rollout."""

    def learn(self, trajectory: Transition) -> None:
        """Updates the agent on arrays `[T, B, ...]`, now or later."""

    def drain(self) -> Metrics:
        """Waits for all updates, and returns the sum of each metric since the last call."""

    def restart(self) -> None:
        """Goes on from a state that was replaced."""

    def close(self) -> None:
        """Ends; updates that have not begun are lost."""


class InTurnLearner:
    """Acting and updating take turns: the newest policy acts.

    Args:
      agent: the agent.
      compiled: from `compile(host_step(agent), init_host_state(agent, key))`.
    """

    def __init__(self, agent: Agent, compiled: Compiled):
        self._compiled, self._sums = compiled, Sums()
        self._act = compiled.reader(act_function(agent, agent.schedule.num_envs, "train"), policy_and_key)

    def acting(self) -> Act:
        """See Learner."""
        return self._act

    def learn(self, trajectory: Transition) -> None:
        """See Learner."""
        self._sums.add(self._compiled(trajectory))

    def drain(self) -> Metrics:
        """See Learner."""
        return self._sums.take()

    def restart(self) -> None:
        """See Learner."""

    def close(self) -> None:
        """See Learner."""


class LaggingLearner:
    """Updates run in a thread while the environments step; what acts is some updates behind.

    Rollout `i` is acted by the policy after update `i - 1 - actor_lag` of the agent's schedule, or by the oldest there
    is.

    Args:
      agent: the agent.
      compiled: from `compile(host_step(agent), init_host_state(agent, key))`.
    """

    def __init__(self, agent: Agent, compiled: Compiled):
        self._compiled, self._sums, self._lag = compiled, Sums(), agent.schedule.actor_lag
        self._act = compile_once(act_function(agent, agent.schedule.num_envs, "train"))
        self._thread = ThreadPoolExecutor(1, "rl_fn-update")  # TensorFlow releases Python's lock
        self._updates: deque[Future] = deque()  # those whose policy has not acted yet
        self._policy = compiled.read(policy_and_key)

    def acting(self) -> Act:
        """See Learner."""
        while len(self._updates) > self._lag:
            self._policy = self._updates.popleft().result()
        policy = self._policy
        return lambda *inputs: self._act(policy, *inputs)

    def learn(self, trajectory: Transition) -> None:
        """See Learner."""
        self._updates.append(self._thread.submit(self._update, trajectory))

    def drain(self) -> Metrics:
        """See Learner."""
        for update in self._updates:
            update.result()
        return self._sums.take()

    def restart(self) -> None:
        """See Learner."""
        self.drain()
        self._updates.clear()
        self._policy = self._compiled.read(policy_and_key)

    def close(self) -> None:
        """See Learner."""
        self._thread.shutdown(cancel_futures=True)

    def _update(self, trajectory: Transition) -> Nest:
        self._sums.add(self._compiled(trajectory))
        return self._compiled.read(policy_and_key)


def make_learner(agent: Agent, compiled: Compiled) -> Learner:
    """The learner that the agent's schedule asks for: in turn, or lagging from an `actor_lag` of 1 on."""
    return (LaggingLearner if agent.schedule.actor_lag else InTurnLearner)(agent, compiled)


class Sums:
    def __init__(self) -> None:
        self._sums: Metrics = {}

    def add(self, metrics: Metrics) -> None:
        for name, value in metrics.items():
            new = tf.nest.map_structure(lambda leaf: np.float32(0) + leaf.numpy(), value)
            self._sums[name] = tf.nest.map_structure(np.add, self._sums[name], new) if name in self._sums else new

    def take(self) -> Metrics:
        sums, self._sums = self._sums, {}
        return sums


def policy_and_key(state: HostState) -> PolicyAndKey:
    """The part of the state that acting reads."""
    return PolicyAndKey(state.agent.policy, state.key)
