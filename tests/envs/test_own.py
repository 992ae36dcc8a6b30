"""What a compiled environment of one's own may do wrong, and the sentence that says so."""

import itertools
import random as python_random

import numpy as np
import pytest
import tensorflow as tf
from gymnasium import spaces

from rl_fn import envs, random
from rl_fn.struct import EnvSpec

GENERATOR, COUNT = np.random.default_rng(0), itertools.count()


def shop(dynamics=lambda state, outcome: outcome, start=lambda state: state, high=9.0, render=None):
    """Sells what is in stock; `dynamics` spoils the outcome of a step, and `start` the state it begins from."""

    def begin(key, num):
        return start({"stock": tf.fill([num], 9.0), "orders": tf.zeros([num, 2])})

    def sell(state, action, key):
        stock = state["stock"] - tf.cast(action, tf.float32) + 2.0 * random.uniform(key, tf.shape(action))
        state = {"stock": tf.clip_by_value(stock, 0.0, 9.0), "orders": state["orders"]}
        return dynamics(state, (state, 1e4 * stock, stock < 0.0))

    spec = EnvSpec("Shop", spaces.Box(0.0, high, (1,), np.float32), spaces.Discrete(3), max_episode_steps=20)
    return envs.auto_reset(spec, begin, sell, lambda state: state["stock"][:, tf.newaxis], render)


def test_a_right_environment_says_how_large_its_rewards_are():
    seen = envs.check(shop(render=lambda state: np.zeros((4, 4, 3), np.uint8)), steps=30)
    assert seen.steps == 120
    assert seen.episodes >= 4
    assert 1e4 < seen.highest_reward <= 11e4
    assert 0.0 <= seen.lowest_observation <= seen.highest_observation <= 9.0


def test_ours_are_right():
    for name in ("Catch-bsuite", "Pendulum-v1"):
        envs.check(envs.make(name), steps=20)


@pytest.mark.parametrize(
    ("spoiled", "message"),
    [
        (
            lambda state, outcome: (*outcome, {}),
            r"Shop: dynamics gives 4 values, expected \(state, reward, terminated\)",
        ),
        (lambda state, outcome: None, r"Shop: dynamics gives a NoneType, expected \(state, reward, terminated\)"),
        (
            lambda state, outcome: ({**state, "stock": tf.cast(state["stock"], tf.int64)}, *outcome[1:]),
            r"Shop: stock is int64\[3\] after a step, expected float32\[3\] as before it",
        ),
        (
            lambda state, outcome: ({**state, "orders": state["orders"][:, :1]}, *outcome[1:]),
            r"Shop: orders is float32\[3, 1\] after a step, expected float32\[3, 2\] as before it",
        ),
        (
            lambda state, outcome: ({"stock": state["stock"]}, *outcome[1:]),
            r"Shop: the state after a step is a dict of stock, expected a dict of orders, stock as before it",
        ),
        (
            lambda state, outcome: (state["stock"], *outcome[1:]),
            r"Shop: the state after a step is a .*Tensor of , expected a dict of orders, stock as before it",
        ),
        (
            lambda state, outcome: (state, outcome[1] + np.random.normal(), outcome[2]),
            r"Shop: dynamics draws from np.random, .* draw from its key, as rl_fn.random.normal\(key, shape\) does",
        ),
        (
            lambda state, outcome: (state, outcome[1] + python_random.random(), outcome[2]),
            "Shop: dynamics draws from random, which is no part of a compiled program",
        ),
        (
            lambda state, outcome: (state, outcome[1] + tf.random.normal([3]), outcome[2]),
            "Shop: dynamics draws from tf.random, which is no part of a compiled program",
        ),
    ],
)
def test_a_step_that_cannot_be_is_refused_when_it_is_traced(spoiled, message):
    env = shop(spoiled)
    state, _ = env.reset(random.key(0), 3)
    with pytest.raises(ValueError, match=message):
        tf.function(env.step, autograph=False)(state, tf.zeros([3], tf.int32), random.key(1))


def test_a_start_of_one_environment_is_refused():
    one = shop(start=lambda state: {"stock": tf.constant(9.0), "orders": tf.zeros([3, 2])})
    with pytest.raises(
        ValueError, match=r"Shop: start gives stock of shape \(\) for 3 environments, expected \(3, ...\)"
    ):
        one.reset(random.key(0), 3)


@pytest.mark.parametrize(
    ("spoiled", "message"),
    [
        (lambda state, outcome: (state, outcome[1] + GENERATOR.normal(), outcome[2]), "Shop: reward in step 1 differs"),
        (
            lambda state, outcome: (state, outcome[1] + next(COUNT), outcome[2]),
            "Shop: reward in step 1 differs between",
        ),
        (lambda state, outcome: (state, outcome[1] / 0.0, outcome[2]), r"Shop: a reward in step 1 is \["),
    ],
)
def test_what_is_wrong_without_failing_is_found(spoiled, message):
    with pytest.raises(ValueError, match=message):
        envs.check(shop(spoiled), steps=2)


def test_an_observation_outside_of_its_space_and_what_is_no_picture_are_found():
    with pytest.raises(ValueError, match=r"Shop: an observation after its reset is \[9\.\], which is not in its space"):
        envs.check(shop(high=8.0))
    with pytest.raises(ValueError, match=r"Shop: a picture is float64\[4, 4\], expected uint8\[H, W, 3\]"):
        envs.check(shop(render=lambda state: np.zeros((4, 4))), steps=1)


def test_what_is_written_for_so_many_environments_alone_is_found():
    four = shop(start=lambda state: {**state, "stock": tf.fill([4], 9.0)})
    with pytest.raises(ValueError, match=r"Shop: start gives stock of shape \(4,\) for 5 environments"):
        envs.check(four, steps=1)


def test_numbers_out_of_their_range_are_refused():
    with pytest.raises(ValueError, match="steps is 0, expected an integer of at least 1"):
        envs.check(shop(), steps=0)
    spec = EnvSpec("Shop", spaces.Discrete(3), spaces.Discrete(3), max_episode_steps=0)
    with pytest.raises(ValueError, match="Shop: max_episode_steps is 0, expected an integer of at least 1"):
        envs.auto_reset(spec, None, None, None)


def test_an_environment_of_gymnasium_is_checked_by_gymnasium():
    with pytest.raises(TypeError, match="given a str; those of Gymnasium"):
        envs.check("Shop")


def test_a_list_is_a_batch_of_actions():
    state, _ = shop().reset(random.key(0), 3)
    assert shop().step(state, [0, 1, 2], random.key(1))[1].reward.shape == (3,)
