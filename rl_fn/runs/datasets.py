"""Data sets of a run: recorded from what another has learned, and read to learn from."""

from __future__ import annotations

import contextlib
import dataclasses
import importlib.util
import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from rl_fn import loops, random, replay, struct
from rl_fn._src.xla.calls import graph
from rl_fn.agents.base import Agent, sampled
from rl_fn.envs import registry
from rl_fn.envs.base import Env
from rl_fn.envs.host.base import HostEnv
from rl_fn.runs import stores
from rl_fn.runs.config import RunConfig
from rl_fn.runs.errors import one_line
from rl_fn.runs.loading import load
from rl_fn.runs.scripts import hparam_values
from rl_fn.struct import EnvSpec, Nest, Transition

MINARI = "minari:"  # before the name of a data set in Minari's folder
_INDEX = "leaves.json"  # of a folder that holds one
_NUM_ENVS = 10  # side by side; of environments on the host, at most
_CALL = 100  # steps of each in a compiled call


def make_agent(config: RunConfig, hparams: Any, spec: EnvSpec) -> tuple[Agent, RunConfig]:
    """Makes the agent of a run, with its data set where it learns from one.

    Args:
      config: resolved.
      hparams: the agent's struct.
      spec: of the environment.

    Returns:
      The agent, and the settings, in which the hyper-parameters say how large the data set is.

    Raises:
      ValueError: if there is a data set for an agent that steps environments, or none for one that does not.
    """
    is_offline = hparams.schedule.is_offline
    if config.dataset is None:
        if is_offline:
            raise ValueError(
                f"{config.agent} learns from a data set: name one with --dataset, a folder that rl-fn record has "
                "written, or minari:NAME"
            )
        return config.make_agent(spec, hparams), config
    if not is_offline:
        raise ValueError(f"dataset is {config.dataset!r}, and {config.agent} learns from environments: expected none")
    data = read(config.dataset, spec)
    hparams = hparams.of_size(data)
    agent = config.make_agent(spec, hparams, data=data)
    return agent, dataclasses.replace(config, hparam_override=hparam_values(hparams))


def record(
    run: Path | str,
    output: Path | str,
    *,
    steps: int = 100_000,
    checkpoint: str | int = "newest",
    deterministic: bool = False,
    seed: int = 0,
) -> float:
    """Records what a run's policy meets.

    Args:
      run: the folder of a run, or of one of its copies.
      output: a new folder, or `minari:NAME`.
      steps: environment steps, rounded up to whole ones of all environments.
      checkpoint: as in `load`.
      deterministic: without exploration; else as in training.
      seed: the same seed gives the same steps.

    Returns:
      The mean return of the episodes that ended, NaN if none did.

    Raises:
      ValueError: as `load`, for fewer than 1 steps, if there is something of that name already, or if Minari is asked
        for and not installed.
    """
    if steps < 1:
        raise ValueError(f"steps is {steps}, expected at least 1")
    _check_new(str(output))
    loaded = load(run, checkpoint=checkpoint)
    agent = loaded.agent if deterministic else sampled(loaded.agent)
    policy, key = loaded.policy.params, random.key(seed)
    if isinstance(loaded.env, Env):
        data = _play_compiled(agent, loaded.env, policy, steps, key)
    else:
        with contextlib.closing(loaded.env) as one:
            # As many as in training, where each actor may explore in its own way.
            num_envs = min(_NUM_ENVS, agent.schedule.num_envs or 1)
            with contextlib.closing(registry.judged_like(one, num_envs)) as env:
                data = _play_host(agent, env, policy, steps, key)
    write(output, data, loaded.env.spec)
    return _mean_return(data)


def write(output: Path | str, data: Transition, spec: EnvSpec) -> None:
    """Writes steps `[T, B, ...]` or `[N, ...]`; see `record`."""
    if str(output).startswith(MINARI):
        _needs_minari(str(output))
        replay.to_minari(str(output).removeprefix(MINARI), data, spec.observation_space, spec.action_space)
        return
    replay.save(output, tf.nest.map_structure(tf.constant, data))


def read(name: str, spec: EnvSpec) -> Transition:
    """Reads a data set.

    Args:
      name: a folder that `record` has written, or `minari:NAME`.
      spec: of the environment that it is from.

    Returns:
      Its steps `[N, ...]`, one stream after the other.

    Raises:
      ValueError: if there is none of that name, or it is of another environment.
    """
    if name.startswith(MINARI):
        _needs_minari(name)
        try:
            return replay.from_minari(name.removeprefix(MINARI))
        except Exception as error:  # Minari's, of many kinds
            raise ValueError(f"dataset {name} cannot be read: {one_line(error)}") from None
    observation, action = struct.space_spec(spec.observation_space), struct.space_spec(spec.action_space)
    flag, number = tf.TensorSpec([], tf.bool), tf.TensorSpec([], tf.float32)
    try:
        folder = stores.local(name)
        if not (folder / _INDEX).is_file():
            raise ValueError(f"there is no {_INDEX} in it, as rl-fn record writes one")
        data = replay.import_steps(folder, Transition(observation, action, number, flag, flag, observation, {}))
    except (OSError, ValueError) as error:
        raise ValueError(f"dataset {name} cannot be read: {one_line(error)}") from None
    return in_one_stream(data)


def in_one_stream(data: Transition) -> Transition:
    """Steps `[T, B, ...]` as `[T B, ...]`, stream after stream, each of which ends truncated where no episode does."""
    if data.reward.ndim == 1:
        return data
    truncated = np.array(data.truncated)
    truncated[-1] |= ~np.asarray(data.terminated)[-1]
    flat = lambda leaf: np.swapaxes(leaf, 0, 1).reshape([-1, *leaf.shape[2:]])
    return tf.nest.map_structure(flat, data._replace(truncated=truncated))


def _play_compiled(agent: Agent, env: Env, policy: Nest, steps: int, key: random.Key) -> Transition:
    """Steps `[T, B, ...]` without what acting says beside."""
    start_key, key = tf.unstack(random.split(key))
    actors = loops.init_actors(agent, env, _NUM_ENVS, start_key)

    def play(policy: Nest, actors: loops.ActorsState, key: random.Key) -> tuple[loops.ActorsState, Transition]:
        actors, (trajectory, _) = loops.rollout(agent, env, policy, actors, key, _CALL, "eval")
        return actors, trajectory._replace(extras={})

    play_fn = graph(play, jit_compile=True)
    length, parts = -(-steps // _NUM_ENVS), []
    for call in range(-(-length // _CALL)):
        actors, part = play_fn(policy, actors, random.fold_in(key, call))
        parts.append(tf.nest.map_structure(lambda leaf: leaf.numpy(), part))
    return tf.nest.map_structure(lambda *leaves: np.concatenate(leaves)[:length], *parts)


def _play_host(agent: Agent, env: HostEnv, policy: Nest, steps: int, key: random.Key) -> Transition:
    player = loops.HostPlayer(agent, env)
    actors = player.begin(policy, key)
    parts = [actors.step(player.act)._replace(extras={}) for _ in range(-(-steps // env.num_envs))]
    return tf.nest.map_structure(lambda *leaves: np.stack(leaves), *parts)


def _mean_return(data: Transition) -> float:
    """Of the episodes that ended in steps `[T, B]`."""
    returns, sums = [], np.zeros(data.reward.shape[1])
    for reward, is_last in zip(data.reward, data.terminated | data.truncated, strict=True):
        sums += reward
        returns += sums[is_last].tolist()
        sums[is_last] = 0
    return float(np.mean(returns)) if returns else math.nan


def _check_new(output: str) -> None:
    """Raises ValueError where nothing can be written under that name, before anything is recorded."""
    if not output.startswith(MINARI):
        stores.refuse(output, "output")
        if Path(output).exists():
            raise ValueError(f"output {output} exists, expected a new folder")
        return
    _needs_minari(output)
    name = output.removeprefix(MINARI)
    if not re.fullmatch(r"([\w-][\w/-]*[\w-]/)?[\w-]+-v\d+", name, re.ASCII):
        raise ValueError(f"output is {output!r}, expected a name such as minari:cartpole/dqn-v0")
    from minari.storage.datasets_root_dir import get_dataset_path

    if get_dataset_path(name).exists():
        raise ValueError(f"output {output} exists, expected a new name")


def _needs_minari(name: str) -> None:
    if importlib.util.find_spec("minari") is None:
        raise ValueError(f'{name} needs Minari: pip install "rl-fn[minari]"')
