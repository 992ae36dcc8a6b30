"""Pictures of the classic control tasks, drawn by Gymnasium from our state."""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable
from typing import Any

import gymnasium
import numpy as np

from rl_fn.struct import Nest


def _state(state: Nest) -> dict[str, Any]:
    return {"state": np.array(state)}


def gymnasium_picture(name: str, attributes: Callable[[Nest], dict[str, Any]] = _state) -> Callable[[Nest], np.ndarray]:
    """Makes a `render` that puts a state into Gymnasium's environment of that name and has it drawn.

    Args:
      name: Gymnasium's, such as "CartPole-v1".
      attributes: the state of one environment, as NumPy arrays -> what to set on Gymnasium's before it draws,
        by default its `state` to those numbers.

    Returns:
      `state -> picture`, uint8[H, W, 3].

    Raises:
      ModuleNotFoundError: by the function returned, where pygame is not installed.
    """

    @functools.cache
    def painter() -> gymnasium.Env:
        _require_pygame(name)
        env = gymnasium.make(name, render_mode="rgb_array").unwrapped
        env.reset(seed=0)
        return env

    def render(state: Nest) -> np.ndarray:
        env = painter()
        for attribute, value in attributes(state).items():
            setattr(env, attribute, value)
        return np.array(env.render())

    return render


def _require_pygame(name: str) -> None:
    try:
        importlib.import_module("pygame")
    except ModuleNotFoundError as error:
        message = f"pictures of {name} need pygame, which is not installed: pip install 'rl-fn[render]'"
        raise ModuleNotFoundError(message, name="pygame") from error
