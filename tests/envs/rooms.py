"""Host environments of a user's own; registered by name from here, and made in processes without TensorFlow."""

from __future__ import annotations

import gymnasium
import numpy as np
from gymnasium import spaces
from gymnasium.vector import AutoresetMode, SyncVectorEnv


class Room(gymnasium.Env):
    """One that takes no render_mode, and has no pictures."""

    def __init__(self, size=3):
        self.observation_space = spaces.Box(0, size, (size,), np.float32)
        self.action_space = spaces.Discrete(2)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.left = self.observation_space.shape[0]
        return np.zeros(self.observation_space.shape, np.float32), {}

    def step(self, action):
        self.left -= 1
        return np.full(self.observation_space.shape, self.left, np.float32), 1.0, self.left == 0, False, {}


class Window(Room):
    """One with pictures."""

    def __init__(self, size=3, render_mode=None):
        super().__init__(size)
        self.render_mode = render_mode

    def render(self):
        return np.full((4, 4, 3), self.left, np.uint8)


def make_rooms(num_envs, size=3):
    """A batch of rooms, as a vector environment."""
    return SyncVectorEnv([lambda: Room(size)] * num_envs, autoreset_mode=AutoresetMode.DISABLED)
