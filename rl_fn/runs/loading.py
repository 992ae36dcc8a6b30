"""What a run has learned so far, from its folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

from rl_fn import random, sets
from rl_fn.agents.base import Agent
from rl_fn.envs import registry
from rl_fn.envs.base import Env
from rl_fn.media import films
from rl_fn.runs import checkpoint
from rl_fn.runs.config import FILE, RunConfig
from rl_fn.struct import Nest


class Loaded(NamedTuple):
    """What a run has learned."""

    agent: Agent
    env: Any  # one, to play in
    policy: Nest
    env_steps: int  # that the policy was trained for


def load(run: Path | str, *, agent: Agent | None = None, env: Any = None, pictures: bool = False) -> Loaded:
    """Makes the agent of a run as its newest checkpoint has it.

    Modules that the run names must have been imported, or be named by the user (see `RunConfig.from_json`).

    Args:
      run: the folder of one copy, such as `runs/ppo/run_0`, or that of the run, for its first copy.
      agent: the agent, where a script made it, so that it has no name.
      env: the environment, likewise.
      pictures: whether the environment is to have pictures; a compiled one always has those that it can have.

    Raises:
      ValueError: if the folder holds no run or no checkpoint, or what it holds is damaged or of another version.
    """
    copy = Path(run) / "run_0" if (Path(run) / "run_0" / FILE).is_file() else Path(run)
    config = RunConfig.read(copy)
    iterations = checkpoint.list_iterations(copy / "checkpoints")
    if not iterations:
        raise ValueError(f"{copy} has no checkpoint yet")
    saved = checkpoint.load(checkpoint.path_of(copy / "checkpoints", iterations[-1]))
    if (agent is None or env is None) and not config.is_named:
        raise ValueError(f"{copy} was trained by an agent without a name: give agent and env")
    if env is None:
        env = config.make_env(1)
        if not isinstance(env, Env):
            with_pictures = films.single(env) if pictures else registry.judged_like(env, 1)
            env.close()
            env = with_pictures
    if agent is None:
        agent = sets.agent_module(str(config.agent)).make(env.spec, config.make_hparams())
    leaves = {path.removeprefix("agent/"): leaf for path, leaf in saved.leaves.items() if path.startswith("agent/")}
    state = checkpoint.restore(saved._replace(leaves=leaves), agent.init(random.key(0)))
    return Loaded(agent, env, state.policy, iterations[-1] * agent.schedule.steps)
