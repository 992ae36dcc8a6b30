"""AutoGraph, which a user's `tf.function` brings, leaves the library as it is, and says nothing of it."""

import logging

import tensorflow as tf

from rl_fn import envs, random, struct


def test_a_function_with_autograph_converts_nothing_of_the_library(caplog):
    @tf.function
    def play(key):
        env = envs.make("Catch-bsuite")
        state, _ = env.reset(key, 2)
        state, outcome = env.step(state, random.randint(key, [2], 0, 3), key)
        return outcome.reward if tf.reduce_sum(outcome.reward) > 5.0 else random.normal(key, [2])

    with caplog.at_level(logging.WARNING):
        tf.get_logger().addHandler(caplog.handler)
        assert play(random.key(0)).shape == (2,)
        tf.get_logger().removeHandler(caplog.handler)
    assert "AutoGraph" not in caplog.text


def test_a_users_own_function_is_converted_all_the_same():
    @tf.function
    def gradient(x):
        return struct.value_and_gradient(lambda x: (x * x if x > 1.0 else x, ()), x)

    assert gradient(tf.constant(2.0))[1] == 4.0
