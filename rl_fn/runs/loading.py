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


def take_over(run: Path, copy: int, copies: int, state: Nest) -> tuple[Nest, int]:
    """Puts what a run has learned into an agent's state at its beginning.

    That is its policy, its parameters and those of its targets. Optimisers, replay and counters stay as they are in
    `state`, so that schedules begin anew.

    Args:
      run: the folder of a run with one copy or with `copies`, or that of one of its copies.
      copy: which of the copies is to go on from it.
      copies: how many there are.
      state: of the agent, as its `init` makes it.

    Returns:
      The state, and the iterations that it was trained for.

    Raises:
      ValueError: if the folder holds no run, no good checkpoint, or what it holds does not fit the agent.
    """
    have = sum((part / FILE).is_file() for part in run.glob("run_*"))
    if have > 1 and have != copies:
        raise ValueError(f"init_from {run} has {have} copies, expected 1 or {copies}; name one of them")
    source = run / f"run_{copy if have > 1 else 0}" if have else run
    if not (source / FILE).is_file():
        raise ValueError(f"init_from {run} holds no run: there is no {FILE} in it")
    newest = checkpoint.load_newest([source / folder.CHECKPOINTS], lambda _, path: checkpoint.load(path, part="agent"))
    if newest is None:
        raise ValueError(f"init_from {run} has no checkpoint")
    [saved], _ = newest
    try:
        return checkpoint.restore(saved, state, _is_learned), saved.iteration
    except ValueError as error:
        raise ValueError(f"init_from {run} does not fit: {error}") from None


def _is_learned(name: str) -> bool:
    parts = name.split("/")
    is_state = "replay" in parts or "opt_state" in parts
    return not is_state and any(part == "policy" or part.endswith("params") for part in parts)


def _close(envs: list[Any]) -> None:
    for env in envs:
        if not isinstance(env, Env):
            env.close()
