"""Training without an environment, of agents that learn from a data set."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import tensorflow as tf

from rl_fn import random
from rl_fn._src.loops import answers
from rl_fn._src.loops.chunks import StepReport
from rl_fn._src.loops.rollout import Episodes
from rl_fn.agents.base import Agent


class OfflineState(NamedTuple):
    """Everything of a run, its data set included: equal states have equal futures."""

    agent: Any
    key: tf.Tensor  # uint32[2]: never changes; an iteration folds its number in
    iteration: tf.Tensor  # int32[]: updates so far


def init_offline_state(agent: Agent, key: random.Key) -> OfflineState:
    """The state at the start of a run, a function of the key and the agent's data set."""
    agent_key, _, run_key = tf.unstack(random.split(key, 3))
    return OfflineState(answers.begun(agent, agent_key), run_key, iteration=tf.constant(0))


def offline_step(agent: Agent) -> Callable[[OfflineState], tuple[OfflineState, StepReport]]:
    """Makes one training iteration, the agent's update on its data set; for `compile` and `train`.

    Raises:
      ValueError: if the agent is one that steps environments.
    """
    if not agent.schedule.is_offline:
        raise ValueError(f"offline_step: the agent steps {agent.schedule.num_envs} environments, expected none")

    def step(state: OfflineState) -> tuple[OfflineState, StepReport]:
        key = random.fold_in(state.key, state.iteration)
        agent_state, metrics = answers.updated(agent, state.agent, (), key)
        none = Episodes(tf.zeros([]), tf.zeros([]), tf.zeros([]))
        return OfflineState(agent_state, state.key, state.iteration + 1), StepReport(metrics, none)

    return step
