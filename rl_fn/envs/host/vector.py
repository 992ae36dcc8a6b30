"""Gymnasium's own vector environments as host environments, in every mode of starting episodes again."""

from __future__ import annotations

from typing import Any

import numpy as np
from gymnasium.vector import AsyncVectorEnv, SyncVectorEnv, VectorEnv

from rl_fn.envs.base import EnvStep
from rl_fn.envs.host import spaces as host_spaces
from rl_fn.envs.host.base import host_spec
from rl_fn.envs.host.worker import Description
from rl_fn.struct import EnvSpec, Nest


class VectorHostEnv:
    """A `gymnasium.vector.VectorEnv` that was made elsewhere.

    In the mode SAME_STEP the true successor is read from `info["final_obs"]`. In the modes DISABLED and
    NEXT_STEP those that ended are reset at once, by `reset(options={"reset_mask": ...})`: left to itself,
    NEXT_STEP would ignore the next action, and a step that is none would look like experience.

    Raises:
      ValueError: for a mode that cannot be dealt with, or a space that is not supported.
    """

    def __init__(self, env: VectorEnv):
        mode = env.metadata.get("autoreset_mode")
        self._mode = getattr(mode, "name", str(mode))
        if self._mode not in ("NEXT_STEP", "SAME_STEP", "DISABLED"):
            raise ValueError(
                f"{env} has autoreset_mode {mode!r} in its metadata, expected NEXT_STEP, SAME_STEP or DISABLED"
            )
        if self._mode == "NEXT_STEP" and not isinstance(env.unwrapped, SyncVectorEnv | AsyncVectorEnv):
            raise ValueError(
                f"{env} starts episodes again in a step of their own and cannot reset a part of its "
                "environments; hand over single environments, or one of autoreset_mode SAME_STEP"
            )
        self.num_envs = env.num_envs
        described = Description(
            host_spaces.convert(env.single_observation_space),
            host_spaces.convert(env.single_action_space),
            getattr(env.spec, "max_episode_steps", None),
            getattr(env.spec, "reward_threshold", None),
        )
        self.spec: EnvSpec = host_spec(env.spec.id if env.spec else type(env.unwrapped).__name__, described)
        self._env = env
        self._rebatch = host_spaces.rebatch(described.observation_space)
        self._batch = host_spaces.batch(described.observation_space)
        self._decode = host_spaces.decode(described.action_space)

    def reset(self, seed: int) -> Nest:
        """See HostEnv."""
        seeds = np.random.SeedSequence(seed).generate_state(self.num_envs) >> 1
        observation, _ = self._env.reset(seed=seeds.tolist())
        return self._rebatch(observation)

    def step(self, actions: np.ndarray) -> EnvStep:
        """See HostEnv."""
        raw, reward, terminated, truncated, info = self._env.step(self._decode(actions))
        terminated, truncated = np.array(terminated, bool), np.array(truncated, bool)
        observation = next_observation = self._rebatch(raw)
        is_last = terminated | truncated
        if is_last.any():
            if self._mode == "SAME_STEP":
                next_observation = self._with_final(observation, info["final_obs"], is_last)
            else:
                observation = self._rebatch(self._env.reset(options={"reset_mask": is_last})[0])
        return EnvStep(observation, np.array(reward, np.float32), terminated, truncated, next_observation)

    def render(self) -> np.ndarray:
        """See HostEnv."""
        if self._env.render_mode != "rgb_array":
            raise ValueError(
                f"{self.spec.name} gives no picture: its render_mode is {self._env.render_mode!r}, expected 'rgb_array'"
            )
        frames: Any = self._env.render()
        return np.asarray(frames[0], np.uint8)

    def close(self) -> None:
        """See HostEnv."""
        self._env.close()

    def _with_final(self, observation: Nest, final: Any, is_last: np.ndarray) -> Nest:
        """The observation with the rows that ended taken from `final`, an array of single observations."""
        rows = np.flatnonzero(is_last)
        finals = self._batch([final[row] for row in rows])
        return host_spaces.replace_rows(observation, finals, rows)
