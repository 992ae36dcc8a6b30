"""Environments of Gymnasium as policies from pixels take them: one action for several frames, small pictures in stacks.

TensorFlow is not imported here.
"""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
from gymnasium import spaces

from rl_fn._src import arguments
from rl_fn.envs.host.session import limit

_GREY = np.array([299, 587, 114], np.int32)  # thousandths of red, green and blue: ITU-R BT.601


class Frames(gymnasium.Wrapper):
    """An environment whose actions are held for several frames, and whose pictures are small, grey or stacked.

    - The rewards of the frames of an action are summed. An end ends the action too.
    - Pictures are shrunk by averaging areas. Where an episode begins, its first picture fills the stack.
    - `render` and the information of a step are those of the last frame.

    Args:
      env: an environment of Gymnasium.
      frame_skip: frames per action.
      screen_size: the width and height of the pictures, at most those of the environment's; as they are unless given.
      grayscale: one channel instead of three.
      stack: how many pictures an observation has, the oldest first, in its channels.

    Raises:
      ValueError: for an argument out of its range, and if the observations are no pictures `uint8[H, W, C]` where
        anything but `frame_skip` is asked for.
    """

    def __init__(
        self,
        env: gymnasium.Env,
        *,
        frame_skip: int = 1,
        screen_size: int | None = None,
        grayscale: bool = False,
        stack: int = 1,
    ):
        super().__init__(env)
        frame_skip, stack = arguments.integer("frame_skip", frame_skip, 1), arguments.integer("stack", stack, 1)
        grayscale = arguments.flag("grayscale", grayscale)
        self._frame_skip, self._grayscale, self._stack, self._areas = frame_skip, grayscale, stack, None
        self._pictures: np.ndarray | None = None  # of the stack
        if screen_size is not None or grayscale or stack > 1:
            height, width, channels = _picture_shape(env.observation_space)
            if grayscale and channels != 3:
                raise ValueError(f"grayscale is True, but its pictures have {channels} channels, expected 3")
            if screen_size is not None:
                screen_size = arguments.integer("screen_size", screen_size, 1)
                if screen_size > min(height, width):
                    raise ValueError(
                        f"screen_size is {screen_size}, expected at most {min(height, width)}: its pictures have "
                        f"{height} by {width} pixels"
                    )
                self._areas = areas(height, screen_size), areas(width, screen_size)
                height = width = screen_size
            self._pictures = np.zeros([height, width, stack * (1 if grayscale else channels)], np.uint8)
            self.observation_space = spaces.Box(0, 255, self._pictures.shape, np.uint8)
        if frames := limit(env):
            self.max_episode_steps = -(-frames // frame_skip)
        if rate := env.metadata.get("render_fps"):
            self.metadata = {**env.metadata, "render_fps": max(1, round(rate / frame_skip))}

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Starts an episode."""
        observation, info = self.env.reset(seed=seed, options=options)
        if self._pictures is not None:
            self._pictures = np.tile(self._picture(observation), self._stack)
            observation = self._pictures.copy()
        return observation, info

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """Holds an action for `frame_skip` frames, or until the episode ends."""
        total = 0.0
        for _ in range(self._frame_skip):
            observation, reward, terminated, truncated, info = self.env.step(action)
            total += float(reward)
            if terminated or truncated:
                break
        if self._pictures is not None:
            newest = self._picture(observation)
            self._pictures = np.concatenate([self._pictures[..., newest.shape[-1] :], newest], axis=-1)
            observation = self._pictures.copy()
        return observation, total, terminated, truncated, info

    def _picture(self, observation: np.ndarray) -> np.ndarray:
        picture = ((observation @ _GREY + 500) // 1000)[..., np.newaxis] if self._grayscale else observation
        if self._areas is not None:
            picture = shrunk(picture, *self._areas)
        return picture.astype(np.uint8, copy=False)


def _picture_shape(space: spaces.Space) -> tuple[int, int, int]:
    if not (isinstance(space, spaces.Box) and space.dtype == np.uint8 and len(space.shape) == 3):
        raise ValueError(f"its observations are {space}, expected pictures uint8[H, W, C] to shrink or to stack")
    return space.shape


def areas(size: int, small: int) -> tuple[np.ndarray, np.ndarray]:
    """Which of `size` pixels the `small` ones cover, and how much of each.

    A pixel is cut into `small` parts, and `size` parts make a small pixel: so all weights are integers.

    Returns:
      The pixels `int[K, small]` that each small one covers, at most K, and their weights `float32[K, small]`, which
      sum to `size` along the first axis.
    """
    parts = np.arange(size * small)
    weights = np.zeros([size, small], np.float32)
    np.add.at(weights, (parts // small, parts // size), 1.0)
    covered = weights > 0
    most = covered.sum(axis=0).max()
    pixels = np.minimum(covered.argmax(axis=0), size - most) + np.arange(most)[:, np.newaxis]
    return pixels, np.take_along_axis(weights, pixels, axis=0)


def shrunk(
    picture: np.ndarray, rows: tuple[np.ndarray, np.ndarray], columns: tuple[np.ndarray, np.ndarray]
) -> np.ndarray:
    """A picture by the means over areas, rounded.

    Args:
      picture: `[H, W, ...]` of integers up to 255.
      rows: `areas` of its height.
      columns: `areas` of its width.

    Returns:
      `uint8[h, w, ...]`.
    """
    # Sums of integers below 2**24: exact in float32. A matrix product would wait for threads that it does not need.
    total = np.float32(picture.shape[0] * picture.shape[1])
    channels = [1] * (picture.ndim - 2)
    tall = sum(weight.reshape(-1, 1, *channels) * picture[index] for index, weight in zip(*rows, strict=True))
    small = sum(weight.reshape(1, -1, *channels) * tall[:, index] for index, weight in zip(*columns, strict=True))
    return np.rint(small / total).astype(np.uint8)
