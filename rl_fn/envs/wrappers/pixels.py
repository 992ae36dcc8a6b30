"""Pictures in place of observations, drawn inside the compiled program."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf
from gymnasium import spaces

from rl_fn import random, struct
from rl_fn._src import arguments
from rl_fn.envs.base import Env, EnvStep, check_observation
from rl_fn.envs.drawing.pixels import paint_cartpole, paint_grid, paint_pendulum
from rl_fn.envs.wrappers.base import changes_task
from rl_fn.struct import Nest

Paint = Callable[[tf.Tensor, int], tf.Tensor]  # (observation [B, ...], size) -> uint8[B, size, size, 3]

PAINTERS: dict[str, Paint] = {"Pendulum-v1": paint_pendulum, "CartPole-v1": paint_cartpole}
_SHOWN = 384  # pixels, about, of a picture for people


class PixelsState(NamedTuple):
    inner: Nest  # the environment's own
    picture: tf.Tensor  # uint8[B, size, size, 3]: the observation


@changes_task
def pixels(env: Env, paint: Paint | None = None, *, size: int = 64) -> Env:
    """Shows a picture in place of the observation, `uint8[size, size, 3]`; films show the same.

    Of classic control there are no velocities in one picture: they have to be remembered, or seen in a `frame_stack`.

    Args:
      env: the environment.
      paint: `(observation [B, ...], size) -> uint8[B, size, size, 3]`. Unless given, Pendulum and CartPole are drawn,
        and observations that are a grid `[H, W]` or `[H, W, C]` of truths or shares.
      size: the height and width.

    Raises:
      ValueError: if it is not known how to draw the observation, or the size is not positive; and where pictures are
        drawn, if `paint` gives others than those.
    """
    size = arguments.integer("pixels: size", size, 1)
    shown = spaces.Box(0, 255, [size, size, 3], np.uint8)
    painter = paint or PAINTERS.get(env.spec.name.rpartition(":")[2]) or _grid_painter(env)

    def draw(observation: Nest) -> tf.Tensor:
        picture = painter(observation, size)
        batch_size = tf.nest.flatten(observation)[0].shape[0]
        check_observation(f"pixels of {env.spec.name}", picture, struct.space_spec(shown), batch_size)
        return picture

    def reset(key: random.Key, batch_size: int) -> tuple[PixelsState, tf.Tensor]:
        inner, observation = env.reset(key, batch_size)
        picture = draw(observation)
        return PixelsState(inner, picture), picture

    def step(state: PixelsState, action: Nest, key: random.Key) -> tuple[PixelsState, EnvStep]:
        inner, outcome = env.step(state.inner, action, key)
        picture, successor = draw(outcome.observation), draw(outcome.next_observation)
        return PixelsState(inner, picture), outcome._replace(observation=picture, next_observation=successor)

    def render(state: PixelsState) -> np.ndarray:
        times = max(_SHOWN // size, 1)
        return np.asarray(state.picture).repeat(times, axis=0).repeat(times, axis=1)

    return Env(env.spec._replace(observation_space=shown), reset, step, render)


def _grid_painter(env: Env) -> Paint:
    space: Any = env.spec.observation_space
    is_of_cells = isinstance(space, spaces.Box) and len(space.shape) in (2, 3) and space.dtype in (bool, np.float32)
    if is_of_cells and np.all(space.low == 0) and np.all(space.high == 1):
        return paint_grid
    known = ", ".join(PAINTERS)
    raise ValueError(f"pixels cannot draw {env.spec.name}, expected {known}, a grid of 0 to 1, or paint to be given")
