"""Registers `Rooms-v0`, whose observations are a Dict, when it is imported: `gymnasium:tests.extras.rooms:Rooms-v0`."""

from typing import ClassVar

import gymnasium
import numpy as np
from gymnasium import spaces


class Rooms(gymnasium.Env):
    """A walker on a line of nine places that looks for a goal: it sees a picture of the line, and which side to go."""

    metadata: ClassVar = {"render_modes": ["rgb_array"], "render_fps": 10}

    def __init__(self, render_mode=None):
        self.observation_space = spaces.Dict(
            {"line": spaces.Box(0, 255, (1, 9, 3), np.uint8), "goal_is_right": spaces.Discrete(2)}
        )
        self.action_space = spaces.Discrete(2)
        self.render_mode = render_mode

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.place, self.goal = self.np_random.choice(9, size=2, replace=False)
        return self.observe(), {}

    def step(self, action):
        self.place = np.clip(self.place + 2 * action - 1, 0, 8)
        found = bool(self.place == self.goal)
        return self.observe(), float(found), found, False, {}

    def observe(self):
        line = np.zeros((1, 9, 3), np.uint8)
        line[0, self.place, 0] = line[0, self.goal, 1] = 255
        return {"line": line, "goal_is_right": int(self.goal > self.place)}

    def render(self):
        return np.kron(self.observe()["line"], np.ones((16, 16, 1), np.uint8))


gymnasium.register("Rooms-v0", entry_point=Rooms, max_episode_steps=30)
