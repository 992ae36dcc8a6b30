"""An environment with pictures that need no library, and an agent that always does the same."""

import numpy as np
import tensorflow as tf
from gymnasium import spaces

from rl_fn.agents.base import ActorStep, Agent, Schedule
from rl_fn.envs.base import Env, auto_reset
from rl_fn.struct import EnvSpec

HEIGHT, WIDTH, LENGTH = 31, 45, 12  # of the pictures, odd on purpose; of an episode


def make(render_fps: float | None = 20) -> Env:
    """Counts its steps and pays 0.5 for each; the picture after `t` of them is grey with a white column `t`."""
    spec = EnvSpec("Drawn-v0", spaces.Box(0.0, 100.0, [1], np.float32), spaces.Discrete(2), render_fps=render_fps)

    def dynamics(state, action, key):
        del action, key
        return state + 1, tf.fill(state.shape[:1], 0.5), state[:, 0] + 1 >= LENGTH

    return auto_reset(spec, lambda key, num: tf.zeros([num, 1]), dynamics, tf.identity, picture)


def picture(state):
    """`uint8[31, 45, 3]`."""
    result = np.full([HEIGHT, WIDTH, 3], 60, np.uint8)
    result[:, int(state[0]) * 3 : int(state[0]) * 3 + 3] = 255
    return result


def agent() -> Agent:
    """Its policy is the action that it takes; it counts its steps in the actor state."""

    def act(policy, actor_state, observation, key, mode):
        del key, mode
        return ActorStep(tf.fill([observation.shape[0]], policy), actor_state + 1, {})

    return Agent(
        Schedule(num_envs=1, rollout_length=1),
        init=lambda key: None,
        init_actor=lambda num: tf.zeros([num], tf.int32),
        act=act,
        update=lambda state, trajectory, key: (state, {}),
    )
