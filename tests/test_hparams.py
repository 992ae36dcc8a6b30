import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from rl_fn.agents.dqn import DQNHParams
from rl_fn.agents.ppo import PPOHParams


def test_minibatches_must_divide_the_rollout():
    with pytest.raises(ValueError, match=r"num_minibatches is 3, expected a divisor of .* = 1024"):
        PPOHParams(num_minibatches=3)


def test_numbers_may_be_scalar_tensors():
    assert DQNHParams(learning_rate=tf.constant(0.1)).learning_rate.dtype == tf.float32
    with pytest.raises(ValueError, match="learning_rate is"):
        DQNHParams(learning_rate=tf.constant([0.1]))
    with pytest.raises(ValueError, match="num_envs is"):
        DQNHParams(num_envs=tf.constant(3))


def test_structs_are_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        DQNHParams().gamma = 0.5


def test_iterations_reach_the_steps():
    assert PPOHParams(train_steps=1000, num_envs=3, rollout_length=100, num_minibatches=1).num_iterations == 4
    assert np.isclose(DQNHParams(train_steps=8, num_envs=2, rollout_length=4).num_iterations, 1)
