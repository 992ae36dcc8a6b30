"""What a run has learned, judged afterwards: whole episodes with any of its checkpoints, also in a variant."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from rl_fn import loops, random, struct
from rl_fn.agents.base import Agent, sampled
from rl_fn.envs import registry
from rl_fn.envs.base import Env
from rl_fn.media import films
from rl_fn.runs import host
from rl_fn.runs.config import RunConfig
from rl_fn.runs.loading import Loaded, copy_folders, copy_number, load


class Judged(NamedTuple):
    """The episodes of one copy."""

    copy: int
    seed: int  # that it was trained with
    loaded: Loaded  # what played, with the environment it was judged in; exploring, if that was asked for
    evaluation: loops.Evaluation


def evaluate(
    run: Path | str,
    *,
    checkpoint: str | int = "newest",
    agent: Agent | None = None,
    env: Any = None,
    env_kwargs: Mapping[str, Any] | None = None,
    deterministic: bool = True,
    episodes: int = 100,
    seed: int = 0,
    video_episodes: int | None = None,
) -> Iterator[Judged]:
    """Plays whole episodes with what a run has learned.

        for judged in rl.runs.evaluate("runs/ppo", episodes=100):
            print(judged.seed, judged.evaluation.returns.mean(), judged.evaluation.returns.std())

    Args:
      run: the folder of a run, for all of its copies, or that of one copy.
      checkpoint: as in `load`.
      agent: the agent, where a script made it, so that it has no name.
      env: the name of another environment of the same spaces, or an environment, as it must be beside `agent`; that of
        the training unless given.
      env_kwargs: what the environment is made with, beside that of the training where it is the same.
      deterministic: without exploration; else as in training.
      episodes: how many each copy plays.
      seed: the same seed gives the same episodes; those of a copy do not depend on the others.
      video_episodes: how many to film with the first copy, to its folder `videos`; None for no films.

    Returns:
      An iterator: one after the other, what each copy came to.

    Raises:
      ValueError: at once for fewer than 1 episodes, and as `load`; by the iterator, before any episode, if the other
        environment cannot be made or has other spaces, or as `films.Recorder`.
    """
    if episodes < 1:
        raise ValueError(f"episodes is {episodes}, expected at least 1")
    copies = copy_folders(run)
    given = None if isinstance(env, str) else env
    learned = load(copies[0], checkpoint=checkpoint, agent=agent, env=given)
    name = env if isinstance(env, str) else None
    kwargs = env_kwargs or {}
    return _played(
        copies, learned, given is None, name, kwargs, checkpoint, deterministic, episodes, seed, video_episodes
    )


def _played(
    copies: list[Path],
    learned: Loaded,
    is_made: bool,
    name: str | None,
    env_kwargs: Mapping[str, Any],
    checkpoint: str | int,
    deterministic: bool,
    episodes: int,
    seed: int,
    video_episodes: int | None,
) -> Iterator[Judged]:
    config = RunConfig.read(copies[0])
    agent = learned.agent if deterministic else sampled(learned.agent)
    place, made = learned.env, [learned.env] if is_made else []
    recorder: films.Recorder | None = None
    try:
        if name is not None or env_kwargs:
            place = _variant(config, name, env_kwargs, learned.env)
            made.append(place)
        if video_episodes is not None:
            shown = films.single(place)
            made.append(shown)
            recorder = films.Recorder(agent, shown, folder=copies[0] / "videos", episodes=video_episodes)
        if isinstance(place, Env):
            play = loops.evaluate(agent, place, episodes)
        elif not is_made and place is learned.env:
            play = loops.host_evaluate(agent, place, episodes)
        else:
            many = registry.judged_like(place, min(episodes, agent.schedule.num_envs or host.NUM_ENVS))
            made.append(many)
            play = loops.host_evaluate(agent, many, episodes)
        for folder in copies:
            copy = copy_number(folder)
            if folder != copies[0]:
                learned = load(folder, checkpoint=checkpoint, agent=learned.agent, env=learned.env)
            evaluation = play(learned.policy.params, random.fold_in(random.key(seed), copy))
            if recorder and folder == copies[0]:
                recorder(learned.policy.params, random.key(seed), learned.env_steps)
            yield Judged(copy, config.seed + copy, learned._replace(agent=agent, env=place), evaluation)
    finally:
        if recorder:
            recorder.close()
        for one in made:
            if not isinstance(one, Env):
                one.close()


def _variant(config: RunConfig, name: str | None, kwargs: Mapping[str, Any], trained: Any) -> Any:
    """Another environment, or the same made with something else."""
    config = config.in_env(name)
    changed = dataclasses.replace(config, env_kwargs={**config.env_kwargs, **kwargs})
    env: Any = changed.make_env(1)
    for what in ("observation_space", "action_space"):
        given, expected = getattr(env.spec, what), getattr(trained.spec, what)
        # Bounds of observations may differ, those of actions may not: the policy was made for them.
        differ = struct.space_spec(given) != struct.space_spec(expected)
        if differ or (what == "action_space" and given != expected):
            if not isinstance(env, Env):
                env.close()
            raise ValueError(
                f"{env.spec.name} has the {what.replace('_', ' ')} {given}, and the run was trained with {expected}"
            )
    return env
