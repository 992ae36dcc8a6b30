"""LunarLander without velocities."""

import gymnasium
import numpy as np

from rl_fn.envs.host import no_velocity


def test_what_is_no_velocity_is_as_in_the_whole_task():
    hidden, whole = no_velocity.make(), gymnasium.make("LunarLander-v3")
    observation, _ = hidden.reset(seed=3)
    there, _ = whole.reset(seed=3)
    for action in (2, 1, 2, 3):
        seen = [0, 1, 4, 6, 7]  # x, y, the angle and both legs
        np.testing.assert_array_equal(observation[seen], there[seen])
        assert np.all(there[[2, 3, 5]] != 0)
        np.testing.assert_array_equal(observation[[2, 3, 5]], 0)
        observation, there = hidden.step(action)[0], whole.step(action)[0]
