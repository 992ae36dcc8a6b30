"""Small environments that host environments are tested with; processes import them from here."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import ClassVar

import gymnasium
import numpy as np
from gymnasium import spaces


class Count(gymnasium.Env):
    """Observes (episode, step), in the same array unless `fresh`; ends terminated and truncated in turn."""

    metadata: ClassVar = {"render_modes": ["rgb_array"]}

    def __init__(self, length=3, render_mode=None, fresh=False):
        self.observation_space = spaces.Box(-np.inf, np.inf, (2,), np.float32)
        self.action_space = spaces.Discrete(2)
        self.render_mode = render_mode
        self._length, self._fresh = length, fresh
        self._observation = np.array([-1, 0], np.float32)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self._observation = self._observation.copy() if self._fresh else self._observation
        self._observation[:] = self._observation[0] + 1, 0
        return self._observation.copy() if self._fresh else self._observation, {}

    def step(self, action):
        self._observation = self._observation.copy() if self._fresh else self._observation
        self._observation[1] += 1
        ended = self._observation[1] == self._length
        terminated = bool(ended and self._observation[0] % 2 == 0)
        return self._observation, float(action), terminated, bool(ended and not terminated), {}

    def render(self):
        return np.full((4, 6, 3), int(self._observation[1]), np.uint8)


class Rooms(gymnasium.Env):
    """Nested observations of every kind, as simulators with several sensors have; the action is seen in them."""

    def __init__(self):
        self.observation_space = spaces.Dict(
            {
                "goal": spaces.Discrete(3, start=5),
                "pair": spaces.Tuple([spaces.MultiBinary(2), spaces.MultiDiscrete([2, 3])]),
                "picture": spaces.Box(0, 255, (2, 2, 1), np.uint8),
            }
        )
        self.action_space = spaces.Discrete(3, start=-1)

    def _observe(self, action):
        picture = np.full((2, 2, 1), action + 1, np.uint8)
        return {"goal": 6 + action, "pair": (np.array([1, 0], np.int8), np.array([1, 2])), "picture": picture}

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self._left = int(self.np_random.integers(5, 15))
        return self._observe(0), {}

    def step(self, action):
        assert action in (-1, 0, 1)
        self._left -= 1
        return self._observe(action), float(action), self._left == 0, False, {}


class Continuous(gymnasium.Env):
    """Observes the action that arrived, in float64."""

    def __init__(self, multi_discrete=False):
        if multi_discrete:
            self.action_space = spaces.MultiDiscrete([2, 3], start=[1, -1])
        else:
            self.action_space = spaces.Box(np.array([-1, 0], np.float32), np.array([1, 2], np.float32))
        self.observation_space = spaces.Box(-9, 9, (2,), np.float64)

    def reset(self, *, seed=None, options=None):
        return np.zeros(2), {}

    def step(self, action):
        assert self.action_space.contains(action), action
        return action.astype(np.float64), 0.0, False, False, {}


class Walk(gymnasium.Env):
    """A random walk that its seed determines, with one mishap: "raise", "exit" or "hang" at some steps."""

    def __init__(self, every=0, mishap="raise", marker=None):
        self.observation_space = spaces.Box(-np.inf, np.inf, (1,), np.float32)
        self.action_space = spaces.Discrete(2)
        self._every, self._mishap, self._steps = every, mishap, 0
        self._marker = marker and Path(marker)  # where it stands, the mishap has happened and does not come again

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self._time, self._place = 0, self.np_random.normal(size=1).astype(np.float32)
        return self._place, {}

    def step(self, action):
        self._steps += 1
        if self._every and self._steps % self._every == 0 and not (self._marker and self._marker.exists()):
            if self._marker:
                self._marker.touch()
            if self._mishap == "raise":
                raise ArithmeticError("the walker fell")
            if self._mishap == "exit":
                os._exit(3)
            time.sleep(3600)
        self._time += 1
        self._place = self._place + self.np_random.normal(size=1).astype(np.float32)
        return self._place, 1.0, self._time == 20, False, {}


class Answers(gymnasium.Env):
    """Each step gives what it was made with; `observation` is that of `at`, "reset" or "step"."""

    def __init__(self, reward=1.0, terminated=False, truncated=False, observation=(0.0,), at="step", space=None):
        self.observation_space = space or spaces.Box(-1, 1, (1,), np.float32)
        self.action_space = spaces.Discrete(2)
        self._answer = reward, terminated, truncated
        self._observations = {"reset": np.zeros(1, np.float32), "step": np.zeros(1, np.float32), at: observation}

    def reset(self, *, seed=None, options=None):
        return self._observations["reset"], {}

    def step(self, action):
        return self._observations["step"], *self._answer, {}


class Old(Answers):
    """As environments were before Gym 0.26, in one way: "reset", "seed" or "step"."""

    def __init__(self, way):
        super().__init__()
        self._way = way
        if way == "seed":
            self.reset = lambda: super(Old, self).reset()

    def reset(self, *, seed=None, options=None):
        answer = super().reset()
        return answer[0] if self._way == "reset" else answer

    def step(self, action):
        observation, reward, terminated, truncated, information = super().step(action)
        if self._way == "step":
            return observation, reward, terminated or truncated, information
        return observation, reward, terminated, truncated, information


class Unclosable(Answers):
    def close(self):
        raise LookupError("the door is stuck")


class Spawning(Answers):
    """Starts two processes, one in a session of its own, and writes their ids, and its own, to a file."""

    def __init__(self, path):
        super().__init__()
        command = [sys.executable, "-S", "-c", "import time; time.sleep(600)"]
        started = [subprocess.Popen(command, start_new_session=own) for own in (False, True)]
        pids = [os.getpid(), *(process.pid for process in started)]
        Path(path).with_suffix(".part").write_text(" ".join(map(str, pids)))
        Path(path).with_suffix(".part").replace(path)


class Modules(gymnasium.Env):
    """Its picture is a list of what has been imported where it lives."""

    render_mode = "rgb_array"

    def render(self):
        return sorted(sys.modules)


class Unmakeable(gymnasium.Env):
    def __init__(self):
        raise LookupError("no such scene")
