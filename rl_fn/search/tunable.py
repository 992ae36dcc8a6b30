"""An agent whose hyper-parameters are part of its state: one program trains many settings, and may change them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypeAlias

import tensorflow as tf

from rl_fn import random
from rl_fn.agents.base import ActorStep, Agent, Mode
from rl_fn.struct import Metrics, Nest, Transition

Settings: TypeAlias = dict[str, tf.Tensor]  # float32[] by name
Make: TypeAlias = Callable[[Mapping[str, Any]], Agent]  # from values of some hyper-parameters to the agent


class Tuned(NamedTuple):
    """The state of an agent and the settings that it learns by."""

    settings: Settings
    agent: Any  # the agent's own

    @property
    def policy(self) -> Nest:
        """All that `act` needs."""
        return self.settings, self.agent.policy


def tunable(make: Make, settings: Settings) -> Agent:
    """An agent that begins with these settings and does what its state says.

    Args:
      make: makes the agent for values of what differs between copies. It is called while a program is traced, so the
        shapes and the schedule must not depend on them.
      settings: to begin with.
    """
    like = make(settings)

    def act(policy: tuple[Settings, Nest], state: Nest, observation: Nest, key: random.Key, mode: Mode) -> ActorStep:
        mine, theirs = policy
        return make(mine).act(theirs, state, observation, key, mode)

    def update(state: Tuned, trajectory: Transition, key: random.Key) -> tuple[Tuned, Metrics]:
        successor, metrics = make(state.settings).update(state.agent, trajectory, key)
        return state._replace(agent=successor), metrics

    def cut(state: Tuned) -> Tuned:
        return state._replace(agent=make(state.settings).cut(state.agent))

    def init(key: random.Key) -> Tuned:
        return Tuned(dict(settings), like.init(key))

    return Agent(like.schedule, init, like.init_actor, act, update, cut)
