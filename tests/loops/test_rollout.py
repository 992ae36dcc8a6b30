import numpy as np
import pytest
import tensorflow as tf

from rl_fn import envs, loops, random
from rl_fn.agents import dqn, ppo

ENV = envs.make("CartPole-v1")
DQN = dqn.DQNHParams(num_envs=4, replay_capacity=100, learning_starts=16, batch_size=8).override(hidden_sizes=(16,))
PPO = ppo.PPOHParams(num_envs=4, rollout_length=8).override(hidden_sizes=(16,))


def test_rollout_is_time_major_and_consistent():
    agent = ppo.make(ENV.spec, PPO)
    policy = agent.init(random.key(0)).policy
    actors = loops.init_actors(agent, ENV, 4, random.key(1))
    run = tf.function(lambda: loops.rollout(agent, ENV, policy, actors, random.key(2), 60), jit_compile=True)
    after, (trajectory, episodes) = run()
    assert trajectory.observation.shape == (60, 4, 4)
    last = trajectory.is_last.numpy()
    assert last.any()
    continued = trajectory.next_observation.numpy()[:-1], trajectory.observation.numpy()[1:]
    same = np.all(np.isclose(*continued, rtol=1e-5, atol=1e-6), axis=-1)  # computed apart, they may round otherwise
    np.testing.assert_array_equal(same, ~last[:-1])
    np.testing.assert_array_equal(episodes.count, last.sum(0))
    assert np.all(after.episode_length + episodes.length_sum == 60)


def test_a_rollout_is_as_long_as_the_schedule_says():
    agent = ppo.make(ENV.spec, PPO)
    actors = loops.init_actors(agent, ENV, 4, random.key(1))
    _, (trajectory, _) = loops.rollout(agent, ENV, agent.init(random.key(0)).policy, actors, random.key(2))
    assert trajectory.reward.shape == (8, 4)


def test_a_trajectory_of_the_wrong_shape_is_refused_by_name():
    agent = dqn.make(ENV.spec, DQN.override(rollout_length=3))
    state = agent.init(random.key(0))
    actors = loops.init_actors(agent, ENV, 4, random.key(1))
    _, (trajectory, _) = loops.rollout(agent, ENV, state.policy, actors, random.key(2))
    with pytest.raises(ValueError, match=r"add: observation is float32 \(3, 4, 3\), expected float32 \[T, B, 4\]"):
        agent.update(state, trajectory._replace(observation=trajectory.observation[..., :3]), random.key(3))
