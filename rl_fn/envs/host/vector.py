"""Gymnasium's own vector environments as host environments, in every mode of starting episodes again."""

from __future__ import annotations

from typing import Any

import numpy as np
from gymnasium.vector import AsyncVectorEnv, SyncVectorEnv, VectorEnv, VectorWrapper
from gymnasium.wrappers import vector as wrappers

from rl_fn._src import spaces
from rl_fn.envs.base import EnvStep
from rl_fn.envs.host import session
from rl_fn.envs.host.base import checked_actions, close_and_tell, host_spec, name_of
from rl_fn.envs.host.infos import Infos, numbers
from rl_fn.envs.host.session import Description
from rl_fn.struct import EnvSpec, Nest

_SAME_STEP = "SAME_STEP"
_AGENT_NORMALIZES = "agents normalise themselves (normalize_observations, normalize_rewards)"
# Wrappers that go wrong here, in which modes, why, and what to do
_UNFIT: tuple[tuple[type[VectorWrapper], tuple[str, ...], str], ...] = (
    (
        wrappers.NormalizeObservation,
        ("NEXT_STEP", "DISABLED", _SAME_STEP),
        f"cannot reset a part of its environments, and learns while a policy is judged; {_AGENT_NORMALIZES}",
    ),
    (
        wrappers.NormalizeReward,
        ("NEXT_STEP", "DISABLED"),
        f"forgets the returns of all environments where one is reset; {_AGENT_NORMALIZES}",
    ),
    (
        wrappers.RecordEpisodeStatistics,
        ("NEXT_STEP", "DISABLED"),
        "forgets the episodes of all environments where one is reset; put gymnasium.wrappers.RecordEpisodeStatistics "
        "around the single environments",
    ),
    (wrappers.DictInfoToList, (_SAME_STEP,), "hides the last observations of episodes; leave it out"),
)


class VectorHostEnv:
    """A `gymnasium.vector.VectorEnv` that was made elsewhere.

    In the mode SAME_STEP the true successor is read from `info["final_obs"]`. In the modes DISABLED and
    NEXT_STEP those that ended are reset at once, by `reset(options={"reset_mask": ...})`: left to itself,
    NEXT_STEP would ignore the next action, and a step that is none would look like experience.

    Raises:
      ValueError: for a mode or a wrapper that cannot be dealt with, or a space that is not supported.
    """

    def __init__(self, env: VectorEnv):
        mode = env.metadata.get("autoreset_mode")
        self._mode = getattr(mode, "name", str(mode))
        if self._mode not in ("NEXT_STEP", _SAME_STEP, "DISABLED"):
            raise ValueError(
                f"{env} has autoreset_mode {mode!r} in its metadata, expected NEXT_STEP, SAME_STEP or DISABLED"
            )
        if self._mode == "NEXT_STEP" and not isinstance(env.unwrapped, SyncVectorEnv | AsyncVectorEnv):
            raise ValueError(
                f"{env} starts episodes again in a step of their own and cannot reset a part of its "
                "environments; hand over single environments, or one of autoreset_mode SAME_STEP"
            )
        _check_wrappers(env, self._mode)
        self.num_envs = env.num_envs
        self.infos = Infos()
        described = _describe(env)
        self.spec: EnvSpec = host_spec(name_of(env), described)
        self._env = env
        self._time = 0  # steps taken since the reset
        self._rebatch = spaces.encode(described.observation_space, axes=1)
        self._batch = spaces.batch(described.observation_space)
        self._decode = spaces.decode(described.action_space)

    def reset(self, seed: int) -> Nest:
        """See HostEnv."""
        self._time = 0
        seeds = np.random.SeedSequence(seed).generate_state(self.num_envs) >> 1
        observation, _ = self._env.reset(seed=seeds.tolist())
        return self._rebatch(observation)

    def step(self, actions: np.ndarray) -> EnvStep:
        """See HostEnv.

        Raises:
          ValueError: if there is not one number and one truth of each environment.
        """
        self._time += 1
        raw, reward, terminated, truncated, info = self._env.step(
            self._decode(checked_actions(self.spec, self.num_envs, actions))
        )
        reward = self._each("the rewards", reward).astype(np.float32)
        terminated = self._each("terminated", terminated).astype(bool)
        truncated = self._each("truncated", truncated).astype(bool)
        observation = next_observation = self._rebatch(raw)
        is_last = terminated | truncated
        if is_last.any():
            last = info.get("final_info", info) if self._mode == _SAME_STEP else info
            for row in np.flatnonzero(is_last):
                self.infos.add(numbers(_of_row(last, int(row))))
            if self._mode == _SAME_STEP:
                next_observation = self._with_final(observation, info["final_obs"], is_last)
            else:
                observation = self._rebatch(self._env.reset(options={"reset_mask": is_last})[0])
        return EnvStep(observation, reward, terminated, truncated, next_observation)

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
        close_and_tell(self.spec.name, self._env)

    def _each(self, label: str, values: Any) -> np.ndarray:
        """One of each environment, in a new array; an axis of size 1 more would broadcast."""
        array = np.array(values)
        if array.size != self.num_envs or array.dtype.kind not in "biuf":
            raise ValueError(
                f"{self.spec.name}: {label} of step {self._time} are {array.dtype}{list(array.shape)}, expected "
                f"{self.num_envs} numbers"
            )
        return array.reshape(self.num_envs)

    def _with_final(self, observation: Nest, final: Any, is_last: np.ndarray) -> Nest:
        """The observation with the rows that ended taken from `final`, an array of single observations."""
        rows = np.flatnonzero(is_last)
        finals = self._batch([final[row] for row in rows])
        return spaces.replace_rows(observation, finals, rows)


def _of_row(info: Any, row: int) -> dict[str, Any]:
    """What one environment reported: the row of each array, where the mask beside it says that it is there."""
    found: dict[str, Any] = {}
    for name, values in info.items() if isinstance(info, dict) else ():
        mask = info.get(f"_{name}")
        if name.startswith("_") or (mask is not None and not np.atleast_1d(mask)[row]):
            continue
        if isinstance(values, dict):
            found[name] = _of_row(values, row)
        elif isinstance(values, np.ndarray) and values.ndim and len(values) > row:
            found[name] = values[row]
    return found


def _check_wrappers(env: Any, mode: str) -> None:
    wrapper = env
    while isinstance(wrapper, VectorWrapper):
        for kind, modes, why in _UNFIT:
            if isinstance(wrapper, kind) and mode in modes:
                raise ValueError(f"{env}: with autoreset_mode {mode}, {kind.__name__} {why}")
        wrapper = wrapper.env


def _describe(env: VectorEnv) -> Description:
    """Its spaces, and what one of its environments says of itself, where there are such."""
    base = env.unwrapped
    one: Any = env
    if isinstance(base, SyncVectorEnv):
        one = base.envs[0]
    elif isinstance(base, AsyncVectorEnv):
        one = base.env_fns[0]()  # those in its processes end where they are asked for what they have not
    described = Description(
        spaces.convert(env.single_observation_space),
        spaces.convert(env.single_action_space),
        session.limit(one),
        getattr(one.spec, "reward_threshold", None),
        env.metadata.get("render_fps"),
    )
    if isinstance(base, AsyncVectorEnv):
        one.close()
    return described
