"""Each agent values an episode that is cut off as if it went on, and one that ends as if it ended."""

import numpy as np
import pytest
import tensorflow as tf
from gymnasium import spaces

from rl_fn import envs, loops, random, struct
from rl_fn.agents import dqn, ppo

GAMMA = 0.9
LENGTH = 10


def reward_of_one(terminates: bool) -> envs.Env:
    """Pays 1 per step, for ten steps; the observation does not show the time."""
    spec = struct.EnvSpec(
        "RewardOfOne", spaces.Box(-1, 1, (2,)), spaces.Discrete(2), None if terminates else LENGTH, None
    )

    def start(key, batch_size):
        del key
        return tf.zeros([batch_size], tf.int32)

    def dynamics(time, action, key):
        del action, key
        return time + 1, tf.ones(time.shape), (time + 1 >= LENGTH) & terminates

    def observe(time):
        return tf.ones([*time.shape, 2])

    return envs.auto_reset(spec, start, dynamics, observe)


def value_of_dqn(env):
    hparams = dqn.DQNHParams(
        train_steps=40_000, num_envs=8, rollout_length=2, gamma=GAMMA, learning_rate=3e-3, anneal_learning_rate=True
    ).override(hidden_sizes=(32,), loss="l2", target_period=25, replay_capacity=2_000, exploration_fraction=0.9)
    agent = dqn.make(env.spec, hparams)
    compiled = train(agent, env, hparams)
    params = compiled.read(lambda state: state.agent.learner.params)
    hidden = tf.nn.relu(tf.ones([1, 2]) @ params["layer_0"]["kernel"] + params["layer_0"]["bias"])
    return tf.reduce_max(hidden @ params["layer_1"]["kernel"] + params["layer_1"]["bias"])


def value_of_ppo(env):
    hparams = ppo.PPOHParams(train_steps=60_000, num_envs=8, rollout_length=32, gamma=GAMMA, learning_rate=3e-3)
    hparams = hparams.override(hidden_sizes=(32,), clip_value_loss=False)
    agent = ppo.make(env.spec, hparams)
    compiled = train(agent, env, hparams)
    policy = compiled.read(lambda state: state.agent.policy)
    return agent.act(policy, (), tf.ones([1, 2]), random.key(1), "train").extras["value"][0]


def train(agent, env, hparams):
    step = loops.train_step(agent, env, hparams.rollout_length)
    compiled = loops.compile(step, loops.init_state(agent, env, hparams.num_envs, random.key(0)))
    compiled.run(hparams.num_iterations)
    return compiled


@pytest.mark.parametrize("value_of", [value_of_dqn, value_of_ppo])
def test_a_truncated_episode_is_worth_as_much_as_an_endless_one(value_of):
    np.testing.assert_allclose(value_of(reward_of_one(terminates=False)), 1 / (1 - GAMMA), atol=0.5)


@pytest.mark.parametrize("value_of", [value_of_dqn, value_of_ppo])
def test_a_terminated_episode_is_worth_less(value_of):
    # Time is hidden, so the value is between those of the first and the last step, at most sum(gamma**t).
    value = value_of(reward_of_one(terminates=True))
    assert 1 < value < (1 - GAMMA**LENGTH) / (1 - GAMMA) + 0.1
