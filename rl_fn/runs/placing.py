"""Which of the places where a run can happen is its own, by its settings."""

from __future__ import annotations

from collections.abc import Callable

from rl_fn.agents.base import Agent
from rl_fn.envs.base import Env
from rl_fn.envs.host.base import HostEnv
from rl_fn.runs.config import RunConfig
from rl_fn.runs.runner import Runner, make_runner
from rl_fn.runs.spread import Spread
from rl_fn.runs.synchronous import in_lockstep
from rl_fn.runs.workers import Workers


def place(
    agent: Agent,
    env: Env | HostEnv,
    eval_env: Env | HostEnv | Callable[[int], HostEnv] | None,
    config: RunConfig,
) -> Runner:
    """Makes the runner of a run: in this process, in which workers act, or in the processes of workers.

    Args:
      agent: the agent.
      env: the environment.
      eval_env: where evaluations happen, see `Run`.
      config: the settings, resolved.

    Raises:
      ValueError: as the runners do, for what cannot be shared out.
    """
    here = make_runner(agent, env, eval_env, config.copies, config.eval_episodes, config.devices)
    if config.num_workers == 1:
        return here
    if config.sync:
        return in_lockstep(agent, env, config, here)
    return Workers(agent, env, config, here) if config.copies == 1 else Spread(agent, env, config, here)
