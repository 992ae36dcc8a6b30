"""One environment of the Gymnasium or Gym API, as what drives it sees it. TensorFlow is not imported here."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from rl_fn._src.spaces import convert, encode, short
from rl_fn.envs.host.infos import numbers

_NUMBERS = (float, int, np.floating, np.integer, np.bool_)


class Description(NamedTuple):
    observation_space: Any  # of gymnasium.spaces
    action_space: Any
    max_episode_steps: int | None = None
    reward_threshold: float | None = None
    render_fps: float | None = None


class Outcome(NamedTuple):
    successor: Any  # the true one, as agents see it
    reward: float
    terminated: bool
    truncated: bool
    first: Any = None  # the first observation of the next episode, where this step ended one
    info: dict[str, float] | None = None  # the numbers in its info, where this step ended one


class Session:
    """One environment that starts a new episode by itself where one ends.

    Observations are as agents see them, and are checked. All raise ValueError for what is not of the API.
    """

    def __init__(self, factory: Callable[[], Any]):
        self._env = factory()
        self._time = 0  # steps taken in this episode

    @cached_property
    def _encode(self) -> Callable[[Any], Any]:
        return encode(convert(self._env.observation_space), copies=False)

    def describe(self) -> Description:
        """See `describe`."""
        return describe(self._env)

    def reset(self, seed: int) -> Any:
        """Starts the first episode."""
        try:
            return self._begin(seed=seed)
        except TypeError as error:
            if "'seed'" not in str(error):
                raise
            raise ValueError("its reset takes no seed, which environments do since Gym 0.26") from error

    def step(self, action: Any) -> Outcome:
        """Takes one step; resets where it ends an episode."""
        self._time += 1
        answer = self._env.step(action)
        try:
            successor, reward, terminated, truncated, info = answer
        except (TypeError, ValueError):
            raise ValueError(_of_step(answer)) from None
        successor = self._encode(successor)
        reward = math.nan if reward is None else float(self._one("the reward", reward, "one number"))
        terminated = bool(self._one("terminated", terminated, "True or False"))
        truncated = bool(self._one("truncated", truncated, "True or False"))
        if not (terminated or truncated):
            return Outcome(successor, reward, False, False)
        successor = copy.deepcopy(successor)  # environments may write the next observation into the same array
        found = numbers(info)  # before the next episode writes into it
        return Outcome(successor, reward, terminated, truncated, self._begin(), found)

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

    def _begin(self, **options: Any) -> Any:
        self._time = 0
        answer = self._env.reset(**options)
        if not (isinstance(answer, tuple) and len(answer) == 2 and isinstance(answer[1], Mapping | None)):
            raise ValueError(
                f"its reset gives {short(answer)}, expected an observation and a dict of information, which "
                "environments give since Gym 0.26"
            )
        return self._encode(answer[0])

    def _one(self, label: str, value: Any, expected: str) -> Any:
        """One number, also of an array of one; anything more would broadcast, and be experience that never was."""
        if isinstance(value, _NUMBERS):  # most are, and arrays take their time
            return value
        array = np.asarray(value)
        if array.size != 1 or array.dtype.kind not in "biuf":
            raise ValueError(f"{label} of step {self._time} of an episode is {short(value)}, expected {expected}")
        return array.item()


def _of_step(answer: Any) -> str:
    given = f"{len(answer)} values" if isinstance(answer, tuple | list) else short(answer)
    return (
        f"its step gives {given}, expected five: observation, reward, terminated, truncated and information, as "
        "environments give since Gym 0.26"
    )


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
