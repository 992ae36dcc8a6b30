"""What a run has learned so far, from its folder."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import tensorflow as tf

from rl_fn import random, struct
from rl_fn.agents.base import Agent, in_precision
from rl_fn.envs import registry
from rl_fn.envs.base import Env
from rl_fn.media import films
from rl_fn.runs import checkpoint as checkpoints
from rl_fn.runs import folder, stores
from rl_fn.runs.checkpoint import Checkpoint
from rl_fn.runs.config import FILE, RunConfig
from rl_fn.runs.files import read_json
from rl_fn.runs.policy import Policy
from rl_fn.struct import Nest


class Loaded(NamedTuple):
    """What a run has learned."""

    agent: Agent
    env: Any  # one, to play in
    policy: Policy  # to act with
    env_steps: int  # that the policy was trained for
    notes: tuple[str, ...] = ()  # sentences that people should be told: which newer checkpoints are damaged


def load(
    run: Path | str,
    *,
    checkpoint: str | int = "newest",
    agent: Agent | None = None,
    env: Any = None,
    pictures: bool = False,
) -> Loaded:
    """Makes the agent of a run as one of its checkpoints has it.

        policy = rl.runs.load("runs/ppo").policy
        action = policy.act(observation)

    Modules that the run names must have been imported, or be named by the user (see `RunConfig.from_json`).

    Args:
      run: the folder of one copy, such as `runs/ppo/run_0`, or that of the run, for its first copy.
      checkpoint: "newest", of those that are good; "best", the one with the best evaluation; or the environment steps
        of one that was kept.
      agent: the agent, where a script made it, so that it has no name.
      env: the environment, likewise.
      pictures: whether the environment is to have pictures; a compiled one always has those that it can have.

    Raises:
      ValueError: if the folder holds no run or no such checkpoint, or what it holds is damaged or of another version.
      OSError: if the folder cannot be read.
    """
    copy = copy_folders(run)[0]
    config = RunConfig.read(copy)
    if not checkpoints.list_iterations(copy / folder.CHECKPOINTS):
        raise ValueError(f"{copy} has no checkpoint yet")
    if (agent is None or env is None) and not config.is_named:
        raise ValueError(
            f"{copy} was trained by an agent without a name: give agent and env, as its script makes them, to "
            "rl.runs.load or rl.runs.evaluate; for commands, rl.sets.register gives an agent a name"
        )
    made = []
    try:
        if env is None:
            env = config.make_env(1)
            made.append(env)
            if not isinstance(env, Env):
                env = films.single(env) if pictures else registry.judged_like(env, 1)
                made.append(env)
        if agent is None:
            agent = config.make_agent(env.spec, config.make_hparams())
        else:
            agent = in_precision(agent, config.precision)
        params, iteration, notes = _read(copy, checkpoint, agent)
    except BaseException:
        _close(made)
        raise
    _close(made[:-1])
    return Loaded(agent, env, Policy(agent, params, env.spec), iteration * agent.schedule.steps, notes)


def copy_folders(run: Path | str) -> list[Path]:
    """The folders of a run's copies, in their order; only its own for the folder of one copy.

    Raises:
      ValueError: if there is no run.
    """
    run = stores.local(run)
    if (run / FILE).is_file():
        return [run]
    found = [path for path in run.glob("run_*") if re.fullmatch(r"run_\d+", path.name) and (path / FILE).is_file()]
    if not found:
        inside = sorted(path.parent.parent.name for path in run.glob(f"*/run_0/{FILE}"))
        runs = f"; there are runs in it: {', '.join(inside[:10])}{', ...' * (len(inside) > 10)}" if inside else ""
        raise ValueError(f"{run} holds no run: there is no {FILE} in it{runs}")
    return sorted(found, key=copy_number)


def copy_number(copy: Path) -> int:
    """Which copy of its run a folder is of; 0 where it has another name."""
    name = re.fullmatch(r"run_(\d+)", copy.absolute().name)
    return int(name[1]) if name else 0


def _read(copy: Path, which: str | int, agent: Agent) -> tuple[Nest, int, tuple[str, ...]]:
    """Reads what acts from a checkpoint of a copy.

    Args:
      copy: the folder of the copy.
      which: "newest", "best", or environment steps.
      agent: the agent.

    Returns:
      The policy, its iteration, and sentences on newer ones that were passed over.

    Raises:
      ValueError: if there is none like that, or none that is good; the message says which there are.
    """
    content, state = read_json(copy / FILE), agent.init(random.key(0))
    whole, best = copy / folder.CHECKPOINTS, copy / folder.BEST
    # Checkpoints hold the whole state of a run; the best only what was evaluated.
    likes = {whole: ("agent", state), best: ("policy", state.policy)}
    kept = {where: checkpoints.list_iterations(where) for where in likes}
    steps = sorted({iteration * agent.schedule.steps for iterations in kept.values() for iteration in iterations})
    there_are = f"there are those at {', '.join(map(str, steps))} steps"

    def read(where: Path, path: Path) -> Checkpoint:
        part, like = likes[where]
        saved = checkpoints.load(path, like, part)
        folder.check_identity(path, saved.metadata.get("run"), content)
        return saved

    def policy(where: Path, saved: Checkpoint) -> Nest:
        restored = checkpoints.restore(saved, likes[where][1])
        return restored.policy if where == whole else restored

    if which in ("newest", "best"):
        where = whole if which == "newest" else best
        found = checkpoints.load_newest([where], lambda _, path: read(where, path))
        if found is None:
            raise ValueError(f"{copy} has kept no {which} checkpoint: {there_are}")
        [saved], passed_over = found
        return policy(where, saved), saved.iteration, tuple(f"passed over: {sentence}" for sentence in passed_over)
    if not re.fullmatch(r"\d[\d_]*", str(which)):
        raise ValueError(f"checkpoint is {which!r}, expected newest, best, or a number of environment steps")
    for where, iterations in kept.items():
        for iteration in iterations:
            if iteration * agent.schedule.steps == int(which):
                return policy(where, read(where, checkpoints.path_of(where, iteration))), iteration, ()
    raise ValueError(f"{copy} has no checkpoint at {which} steps: {there_are}")


def take_over(run: Path, copy: int, copies: int, state: Nest) -> tuple[Nest, int]:
    """Puts what a run has learned into an agent's state at its beginning.

    That is its policy, its parameters and those of its targets, and the moments by which observations and rewards are
    normalised. Optimisers, replay and counters stay as they are in `state`, so that schedules begin anew.

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
        expected = "1" if copies == 1 else f"1 or {copies}"
        raise ValueError(f"init_from {run} has {have} copies, expected {expected}; name one of them")
    source = run / f"run_{copy if have > 1 else 0}" if have else run
    if not (source / FILE).is_file():
        raise ValueError(f"init_from {run} holds no run: there is no {FILE} in it")
    newest = checkpoints.load_newest(
        [source / folder.CHECKPOINTS], lambda _, path: checkpoints.load(path, part="agent")
    )
    if newest is None:
        raise ValueError(f"init_from {run} has no checkpoint")
    [saved], _ = newest
    try:
        return checkpoints.restore(saved, state, learned_leaves(state)), saved.iteration
    except ValueError as error:
        raise ValueError(f"init_from {run} does not fit: {error}") from None


def learned_leaves(state: Any) -> Callable[[str], bool]:
    """From the name of a leaf of an agent's state to whether it is something that was learned.

    That are the numbers that it acts by, whatever is called `params` or by a name that ends so, and moments.
    """
    policy = {id(leaf) for leaf in tf.nest.flatten(state.policy)}
    is_number = lambda leaf: tf.as_dtype(leaf.dtype).is_floating
    acting = {name for name, leaf in struct.named_leaves(state) if id(leaf) in policy and is_number(leaf)}

    def is_learned(name: str) -> bool:
        parts = name.split("/")
        is_state = "replay" in parts or "opt_state" in parts
        is_named = any(part in ("policy", "observations", "moments") or part.endswith("params") for part in parts)
        return name in acting or (is_named and not is_state)

    return is_learned


def _close(envs: list[Any]) -> None:
    for env in envs:
        if not isinstance(env, Env):
            env.close()
