import dataclasses
import re

import numpy as np
import pytest
import tensorflow as tf

from rl_fn import envs, sets
from rl_fn.agents.dqn import DQNHParams
from rl_fn.agents.ppo import PPOHParams


@pytest.mark.parametrize("name", sets.SETS)
def test_every_set_makes_an_agent(name):
    named = sets.SETS[name]
    values = sets.make(named)
    spec = envs.make(named.env or "CartPole-v1").spec
    assert callable(sets.agent_module(named.agent).make(spec, values).update)


@pytest.mark.parametrize("struct", [DQNHParams, PPOHParams])
def test_every_hyperparameter_is_documented(struct):
    assert all(field.metadata["doc"].endswith(".") for field in dataclasses.fields(struct))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", {}),
        ("learning_rate=1e-3,num_envs=16", {"learning_rate": 1e-3, "num_envs": 16}),
        (" hidden_sizes = (64, 32) , double_q=False", {"hidden_sizes": (64, 32), "double_q": False}),
        ("hidden_sizes=[64,32],loss=l2", {"hidden_sizes": [64, 32], "loss": "l2"}),
        ("train_steps=1e5,gamma=1", {"train_steps": 100_000, "gamma": 1}),
        ("train_steps=100_000", {"train_steps": 100_000}),
    ],
)
def test_overrides_are_read(text, expected):
    assert sets.parse_overrides(text) == expected


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ("learning_rat=1e-3", "no hyper-parameter 'learning_rat'; the nearest is 'learning_rate'"),
        ("learning_rate=fast", "learning_rate is 'fast', expected a number greater than 0"),
        ("learning_rate=-1", "learning_rate is -1, expected a number greater than 0"),
        ("learning_rate=nan", "learning_rate is 'nan', expected a number"),
        ("num_envs=1.5", "num_envs is 1.5, expected an integer at least 1"),
        ("num_envs=0", "num_envs is 0, expected an integer at least 1"),
        ("gamma=1.5", "gamma is 1.5, expected a number at least 0 and at most 1"),
        ("double_q=1", "double_q is 1, expected true or false"),
        ("hidden_sizes=64", "hidden_sizes is 64, expected a tuple of positive integers"),
        ("loss=huge", "loss is 'huge', expected one of huber, l2"),
        ("learning_starts=60000", "learning_starts is 60000, expected at most replay_capacity = 50000"),
        ("gamma=0.9,gamma=0.8", "'gamma' is given twice"),
        ("gamma", "cannot read override 'gamma', expected name=value"),
        ("gamma=", "cannot read override 'gamma=', expected name=value"),
    ],
)
def test_bad_overrides_are_refused_with_what_is_allowed(overrides, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        sets.make(sets.SETS["dqn"], overrides)


def test_minibatches_must_divide_the_rollout():
    with pytest.raises(ValueError, match=r"num_minibatches is 3, expected a divisor of .* = 1024"):
        PPOHParams(num_minibatches=3)


def test_unknown_sets_are_refused_with_the_nearest():
    with pytest.raises(ValueError, match="unknown hyper-parameter set 'ppo_cartpol'; the nearest is 'ppo_cartpole'"):
        sets.find("ppo_cartpol")


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
