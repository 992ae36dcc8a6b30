"""An agent's functions, called with a look at what they give: of another form, it would fail far from there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rl_fn import random
from rl_fn._src.keyed import nothing_stateful
from rl_fn.agents.base import ActorStep, Agent, Mode
from rl_fn.struct import Metrics, Nest


def begun(agent: Agent, key: random.Key) -> Any:
    """The agent's state at the start.

    Raises:
      TypeError: if it has no field `policy`.
    """
    state = agent.init(key)
    if not hasattr(state, "policy"):
        raise TypeError(
            f"the agent's init gives {_what(state)}, expected a NamedTuple with a field policy, all that act needs"
        )
    return state


def acted(agent: Agent, policy: Nest, actor: Nest, observation: Nest, key: random.Key, mode: Mode) -> ActorStep:
    """What the agent does.

    Raises:
      TypeError: if it is no ActorStep, or its extras are no dict.
      ValueError: if it draws from `tf.random`.
    """
    with nothing_stateful("the agent's act"):
        answer = agent.act(policy, actor, observation, key, mode)
    if not isinstance(answer, ActorStep):
        raise TypeError(f"the agent's act gives {_what(answer)}, expected ActorStep(action, actor_state, extras)")
    if not isinstance(answer.extras, Mapping):
        raise TypeError(f"the agent's act gives extras that are {_what(answer.extras)}, expected a dict")
    return answer


def updated(agent: Agent, state: Any, trajectory: Any, key: random.Key) -> tuple[Any, Metrics]:
    """What the agent has learned, and its metrics.

    Raises:
      TypeError: if these are not what it gives.
      ValueError: if it draws from `tf.random`.
    """
    with nothing_stateful("the agent's update"):
        answer: Any = agent.update(state, trajectory, key)
    if not (isinstance(answer, tuple) and len(answer) == 2 and isinstance(answer[1], Mapping)):
        raise TypeError(f"the agent's update gives {_what(answer)}, expected (agent_state, metrics), metrics a dict")
    return answer


def _what(answer: Any) -> str:
    fields = getattr(answer, "_fields", ())
    return f"a {type(answer).__name__}" + (f" of {', '.join(fields)}" if fields else "")
