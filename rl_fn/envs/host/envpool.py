"""EnvPool's environments (Weng et al., 2022): batches stepped in C++, as host environments."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np

from rl_fn._src import naming, spaces
from rl_fn._src.xla import lent
from rl_fn.envs.base import EnvStep
from rl_fn.envs.host import atari
from rl_fn.envs.host.base import host_spec
from rl_fn.envs.host.session import Description
from rl_fn.envs.host.sub_envs import checked_count
from rl_fn.struct import Nest


def envpool_env(
    task: str, /, num_envs: int | None = None, *, evaluation: bool = False, **kwargs: Any
) -> EnvPoolHostEnv:
    """Makes a host environment of EnvPool; Atari games get the preprocessing of `rl_fn.envs.host.atari`.

    Args:
      task: one of `envpool.list_all_envs()`, such as `CartPole-v1` or `Pong-v5`.
      num_envs: B, 1 unless given.
      evaluation: Atari games are played to their end, on raw scores; nothing changes for other tasks.
      **kwargs: what `envpool.make` takes for the task, such as `num_threads` or `frame_skip`.

    Raises:
      ValueError: if EnvPool is not installed, has no such task, or refuses the arguments.
    """
    if atari.is_envpool_game(task):
        kwargs = atari.envpool_arguments(evaluation=evaluation, **kwargs)
    return EnvPoolHostEnv(task, checked_count(num_envs), **kwargs)


class EnvPoolHostEnv:
    """A pool in its synchronous mode.

    Left to itself, a pool starts an episode again in the step after its end: that step ignores its action
    and would look like experience. Here those that ended are reset at once, by their ids.
    """

    def __init__(self, task: str, num_envs: int, /, **kwargs: Any):
        try:
            import envpool
        except ImportError as error:
            raise ValueError(f'envpool:{task} needs envpool ({error}): pip install "rl-fn[envpool]"') from None
        if task not in (tasks := envpool.list_all_envs()):
            raise ValueError(f"EnvPool has no task {task!r}; the nearest is {naming.nearest(task, tasks)!r}")
        if fixed := {"env_type", "batch_size", "seed"} & set(kwargs):
            raise ValueError(f"envpool:{task}: {', '.join(sorted(fixed))} cannot be chosen")
        self._make = lambda seed: envpool.make(task, env_type="gymnasium", num_envs=num_envs, seed=seed, **kwargs)
        try:
            spec = envpool.make_spec(task, num_envs=num_envs, **kwargs)
        except (AssertionError, ImportError, TypeError, ValueError) as error:  # some need libraries of the system
            raise ValueError(f"envpool:{task} cannot be made: {error}") from None
        space = spaces.convert(spec.gymnasium_observation_space)
        pictures = _channels_last(space)
        described = Description(
            pictures or space,
            spaces.convert(spec.gymnasium_action_space),
            None if (limit := spec.config.max_episode_steps) == np.iinfo(np.int32).max else limit,
            getattr(spec.config, "reward_threshold", None),
        )
        self.spec = host_spec(f"envpool:{task}", described)
        self.num_envs = num_envs
        encode = spaces.encode(described.observation_space, axes=1, copies=pictures is None)
        self._rebatch = encode if pictures is None else lambda raw: encode(_with_channels_last(raw))
        self._decode = spaces.decode(described.action_space)
        self._action_dtype = described.action_space.dtype
        self._blank = getattr(spec.config, "stack_num", 1) - 1 if atari.is_envpool_game(task) else 0
        self._age = np.zeros(num_envs, int)  # steps since the episode began
        self._pool: Any = None

    def reset(self, seed: int) -> Nest:
        """See HostEnv."""
        self.close()
        # A pool takes its seed when it is made, 31 bits, and counts on from it for its environments.
        self._pool = self._make(int(np.random.SeedSequence(seed).generate_state(1)[0] >> 1))
        self._age[:] = 0
        return self._filled(self._rebatch(self._pool.reset()[0]), self._age)

    def step(self, actions: np.ndarray) -> EnvStep:
        """See HostEnv."""
        actions = self._decode(actions).astype(self._action_dtype, copy=False)
        raw, reward, terminated, truncated, _ = self._pool.step(actions)
        self._age += 1
        observation = next_observation = self._filled(self._rebatch(raw), self._age)
        terminated, truncated = np.array(terminated, bool), np.array(truncated, bool)
        ended = np.flatnonzero(terminated | truncated)
        if ended.size:
            self._age[ended] = 0
            firsts = self._filled(self._rebatch(self._pool.reset(ended.astype(np.int32))[0]), self._age[ended])
            observation = spaces.replace_rows(next_observation, firsts, ended)
        return EnvStep(observation, np.array(reward, np.float32), terminated, truncated, next_observation)

    def render(self) -> np.ndarray:
        """See HostEnv."""
        if self._pool is None or self._pool.render_mode != "rgb_array":
            raise ValueError(f"{self.spec.name} gives no picture: make it with render_mode='rgb_array', and reset it")
        return np.asarray(self._pool.render()[0], np.uint8)

    def close(self) -> None:
        """See HostEnv."""
        if self._pool is not None:
            self._pool.close()
            self._pool = None

    def _filled(self, stacks: Nest, age: np.ndarray) -> Nest:
        """Atari's stacks, in which frames from before an episode are not blank but its first one, as elsewhere."""
        for row in np.flatnonzero(age < self._blank):
            channels = stacks.shape[-1] // (self._blank + 1)  # of a frame: three with gray_scale=False
            blank = self._blank - age[row]
            first = stacks[row, ..., blank * channels : (blank + 1) * channels]
            stacks[row, ..., : blank * channels] = np.tile(first, blank)
        return stacks


def _with_channels_last(pictures: np.ndarray) -> np.ndarray:
    """`[B, C, H, W]` as new `[B, H, W, C]`: channel by channel, in a third of the time of a transposed copy."""
    out = lent.empty([pictures.shape[0], *pictures.shape[2:], pictures.shape[1]], pictures.dtype)
    for channel in range(pictures.shape[1]):
        out[..., channel] = pictures[:, channel]
    return out


def _channels_last(space: gymnasium.Space) -> gymnasium.spaces.Box | None:
    """The space of pictures `uint8[H, W, C]` that are given as `uint8[C, H, W]`; None for anything else."""
    if not isinstance(space, gymnasium.spaces.Box) or space.dtype != np.uint8 or len(space.shape) != 3:
        return None
    channels, height, width = space.shape
    if channels >= min(height, width):
        return None
    return gymnasium.spaces.Box(np.moveaxis(space.low, 0, -1), np.moveaxis(space.high, 0, -1), dtype=np.uint8)
