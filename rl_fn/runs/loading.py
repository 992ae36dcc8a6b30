"""What a run has learned so far, from its folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

from rl_fn import random, sets
from rl_fn.agents.base import Agent
from rl_fn.envs import registry
from rl_fn.envs.base import Env
from rl_fn.media import films
from rl_fn.runs import checkpoint, folder
from rl_fn.runs.config import FILE, RunConfig, read_json
from rl_fn.struct import Nest


class Loaded(NamedTuple):
    """What a run has learned."""

    agent: Agent
    env: Any  # one, to play in
    policy: Nest
    env_steps: int  # that the policy was trained for
    notes: tuple[str, ...]  # sentences that people should be told: which newer checkpoints are damaged


def load(run: Path | str, *, agent: Agent | None = None, env: Any = None, pictures: bool = False) -> Loaded:
    """Makes the agent of a run as its newest good checkpoint has it.

    Modules that the run names must have been imported, or be named by the user (see `RunConfig.from_json`).

    Args:
      run: the folder of one copy, such as `runs/ppo/run_0`, or that of the run, for its first copy.
      agent: the agent, where a script made it, so that it has no name.
      env: the environment, likewise.
      pictures: whether the environment is to have pictures; a compiled one always has those that it can have.

    Raises:
      ValueError: if the folder holds no run or no good checkpoint, or what it holds is damaged or of another version.
      OSError: if the folder cannot be read.
    """
    copy = Path(run) / "run_0" if (Path(run) / "run_0" / FILE).is_file() else Path(run)
    config = RunConfig.read(copy)
    content, checkpoints = read_json(copy / FILE), copy / folder.CHECKPOINTS
    if not checkpoint.list_iterations(checkpoints):
        raise ValueError(f"{copy} has no checkpoint yet")
    if (agent is None or env is None) and not config.is_named:
        raise ValueError(f"{copy} was trained by an agent without a name: give agent and env")
    made = []
    try:
        if env is None:
            env = config.make_env(1)
            made.append(env)
            if not isinstance(env, Env):
                env = films.single(env) if pictures else registry.judged_like(env, 1)
                made.append(env)
        if agent is None:
            agent = sets.agent_module(str(config.agent)).make(env.spec, config.make_hparams())
        like = agent.init(random.key(0))

        def read(_: int, path: Path) -> checkpoint.Checkpoint:
            saved = checkpoint.load(path, like, "agent")
            folder.check_identity(path, saved.metadata.get("run"), content)
            return saved

        newest = checkpoint.load_newest([checkpoints], read)
    except BaseException:
        _close(made)
        raise
    _close(made[:-1])
    if newest is None:
        raise ValueError(f"{copy} has no checkpoint any more")
    [saved], passed_over = newest
    state = checkpoint.restore(saved, like)
    notes = tuple(f"passed over: {sentence}" for sentence in passed_over)
    return Loaded(agent, env, state.policy, saved.iteration * agent.schedule.steps, notes)


def _close(envs: list[Any]) -> None:
    for env in envs:
        if not isinstance(env, Env):
            env.close()
