"""Episodes played by what a run has learned so far: what `rl-fn play` does."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from rl_fn import envs, random, sets
from rl_fn.media import films
from rl_fn.runs import checkpoint
from rl_fn.struct import Nest


class Learned(NamedTuple):
    """What a run has learned."""

    agent: Any
    env: Any  # ready to be recorded
    policy: Nest
    env_steps: int  # that the policy was trained for


def load(run: Path) -> Learned:
    """Makes the agent of a run as its newest checkpoint has it.

    Args:
      run: the folder of one copy, such as `runs/ppo/run_0`.

    Raises:
      ValueError: if the folder holds no run or no checkpoint, or what it holds is damaged or of another version.
    """
    try:
        config = json.loads((run / "config.json").read_text())
        name, agent_name, values = config["env"], config["agent"], config["hparams"]
    except FileNotFoundError:
        raise ValueError(f"{run} holds no run: there is no config.json in it") from None
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{run / 'config.json'} cannot be read: {error!r}") from None
    iterations = checkpoint.list_iterations(run / "checkpoints")
    if not iterations:
        raise ValueError(f"{run} has no checkpoint yet")
    if agent_name not in sets.AGENTS:
        raise ValueError(f"{run} was trained by {agent_name!r}, there are: {', '.join(sets.AGENTS)}")
    env_kwargs = config.get("env_kwargs", {})
    env = films.single(name, envs.make(name, **env_kwargs), **env_kwargs)
    module = sets.agent_module(agent_name)
    settings = getattr(module, sets.AGENTS[agent_name][1])().override(**values)
    agent = module.make(env.spec, settings)
    saved = checkpoint.load(checkpoint.path_of(run / "checkpoints", iterations[-1]))
    leaves = {path.removeprefix("agent/"): leaf for path, leaf in saved.leaves.items() if path.startswith("agent/")}
    state = checkpoint.restore(saved._replace(leaves=leaves), agent.init(random.key(0)))
    steps = iterations[-1] * settings.num_envs * settings.rollout_length
    return Learned(agent, env, state.policy, steps)


def play(run: Path, episodes: int, record: bool = False, window: bool = False, seed: int = 0) -> Iterator[float]:
    """Plays episodes with exploration off.

    Args:
      run: the folder of one copy of a run.
      episodes: how many.
      record: whether to write films, to the folder `videos` of the run.
      window: whether to show them.
      seed: of the episodes.

    Yields:
      The return of each.

    Raises:
      ValueError: as `load` and `films.Recorder`.
    """
    if episodes < 1:
        raise ValueError(f"episodes is {episodes}, expected at least 1")
    agent, env, policy, env_steps = load(run)
    recorder = films.Recorder(agent, env, folder=run / "videos" if record else None, window=window, episodes=episodes)
    yield from recorder(policy, random.key(seed), env_steps)
    recorder.close()
