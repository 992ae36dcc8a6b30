"""One environment of the Gymnasium or Gym API, as what drives it sees it. TensorFlow is not imported here."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from rl_fn._src.spaces import convert

_NUMBERS = (float, int, np.floating, np.integer, np.bool_)


class Description(NamedTuple):
    observation_space: Any  # of gymnasium.spaces
    action_space: Any
    max_episode_steps: int | None = None
    reward_threshold: float | None = None
    render_fps: float | None = None


class Outcome(NamedTuple):
    successor: Any  # the true one, as the environment gave it
    reward: float
    terminated: bool
    truncated: bool
    first: Any = None  # the first observation of the next episode, where this step ended one


class Session:
    """One environment that starts a new episode by itself where one ends."""

    def __init__(self, factory: Callable[[], Any]):
        self._env = factory()
        self._time = 0  # steps taken in this episode

    def describe(self) -> Description:
        """See `describe`."""
        return describe(self._env)

    def reset(self, seed: int) -> Any:
        """Starts the first episode."""
        self._time = 0
        return self._env.reset(seed=seed)[0]

    def step(self, action: Any) -> Outcome:
        """Takes one step; resets where it ends an episode.

        Raises:
          ValueError: if the reward is not one number, or it is not one truth whether the episode ends.
        """
        self._time += 1
        successor, reward, terminated, truncated, _ = self._env.step(action)
        reward = self._one("the reward", reward, "one number")
        terminated = bool(self._one("terminated", terminated, "True or False"))
        truncated = bool(self._one("truncated", truncated, "True or False"))
        if not (terminated or truncated):
            return Outcome(successor, reward, False, False)
        self._time = 0
        successor = copy.deepcopy(successor)  # environments may write the next observation into the same array
        return Outcome(successor, reward, terminated, truncated, self._env.reset()[0])

    def render(self) -> Any:
        """The picture of the environment."""
        mode = getattr(self._env, "render_mode", None)
        if mode != "rgb_array":
            raise ValueError(
                f"its render_mode is {mode!r}, expected 'rgb_array': make the environment with "
                "render_mode='rgb_array', where its class takes that and has a render method"
            )
        return self._env.render()

    def close(self) -> None:
        """Frees what the environment holds."""
        self._env.close()

    def _one(self, label: str, value: Any, expected: str) -> Any:
        """One number, also of an array of one; anything more would broadcast, and be experience that never was."""
        if isinstance(value, _NUMBERS):  # most are, and arrays take their time
            return value
        array = np.asarray(value)
        if array.size != 1 or array.dtype.kind not in "biuf":
            raise ValueError(f"{label} of step {self._time} of an episode is {value!r}, expected {expected}")
        return array.item()


def describe(env: Any) -> Description:
    """The spaces of an environment in terms of Gymnasium, and what its registration and its wrappers say of it."""
    spec = getattr(env, "spec", None)
    metadata = getattr(env, "metadata", None) or {}
    return Description(
        convert(env.observation_space),
        convert(env.action_space),
        limit(env),
        getattr(spec, "reward_threshold", None),
        metadata.get("render_fps"),
    )


def limit(env: Any) -> int | None:
    """Where the episodes of an environment are truncated, in steps.

    By its wrappers, such as TimeLimit, and by itself, of which a registration need not know; else as that says.
    """
    registered = getattr(getattr(env, "spec", None), "max_episode_steps", None)
    found = []
    while env is not None:
        own = getattr(env, "__dict__", {})
        found += [own.get("_max_episode_steps"), own.get("max_episode_steps")]  # the former of TimeLimit, also Gym's
        env = own.get("env")
    counted = [int(steps) for steps in found if isinstance(steps, int | np.integer) and steps > 0]
    return min(counted, default=registered)
