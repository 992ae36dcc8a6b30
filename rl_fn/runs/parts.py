"""What a run is made of, looked at before it is used: of another kind, it would fail far from where it was given."""

from __future__ import annotations

import types
from collections.abc import Sequence
from typing import Any

from rl_fn.agents.base import Agent, Schedule
from rl_fn.envs.base import Env

_OF_HOST = ("spec", "num_envs", "reset", "step", "close")
_OF_REPORTER = ("start", "report", "close")


def check_parts(agent: Any, env: Any, reporters: Sequence[Any]) -> None:
    """Raises TypeError unless these are an agent, an environment and reporters; it says how such are made."""
    if not isinstance(agent, Agent):
        raise TypeError(f"agent is {_what(agent)}, expected an Agent, such as rl.agents.ppo.make(env.spec, hparams)")
    if not isinstance(agent.schedule, Schedule):
        expected = "rl.agents.base.Schedule(num_envs, rollout_length)"
        raise TypeError(f"the agent's schedule is {_what(agent.schedule)}, expected {expected}")
    if isinstance(env, str):
        raise TypeError(f"env is {env!r}, expected an environment, such as rl.envs.make({env!r})")
    if not isinstance(env, Env) and not all(hasattr(env, name) for name in _OF_HOST):
        raise TypeError(
            f"env is {_what(env)}, expected one of rl.envs.make, or rl.envs.gymnasium_env(function, "
            f"num_envs={agent.schedule.num_envs}), where the function makes one of Gymnasium or Gym"
        )
    for reporter in reporters:
        if missing := [name for name in _OF_REPORTER if not callable(getattr(reporter, name, None))]:
            raise TypeError(
                f"a reporter is {_what(reporter)} without {' and '.join(missing)}, expected an object with "
                "start(run), report(report) and close()"
            )


def _what(given: Any) -> str:
    if isinstance(given, types.ModuleType | type):
        return f"the {type(given).__name__.replace('type', 'class')} {given.__name__}"
    return f"a {type(given).__name__}"
