"""Steps of compiled environments, for tests."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from rl_fn import random
from rl_fn._src.scan import scan
from rl_fn.envs import Env, EnvStep


def play(env: Env, actions: np.ndarray, seed: int = 0) -> tuple[np.ndarray, EnvStep]:
    """Resets and takes the steps of `actions` `[T, B, ...]` in one graph.

    It is not compiled: for the few steps of a test that takes longer than running it.

    Returns:
      The first observations `[B, ...]`, and the steps `[T, B, ...]`, as NumPy arrays.
    """

    @tf.function(autograph=False)
    def run(actions: tf.Tensor) -> tuple[tf.Tensor, EnvStep]:
        start_key, step_key = tf.unstack(random.split(random.key(seed)))
        state, observation = env.reset(start_key, actions.shape[1])

        def step(state: Any, inputs: tuple) -> tuple:
            return env.step(state, *inputs)

        _, steps = scan(step, state, (actions, random.split(step_key, actions.shape[0])))
        return observation, steps

    return tf.nest.map_structure(lambda leaf: leaf.numpy(), run(tf.convert_to_tensor(actions)))
