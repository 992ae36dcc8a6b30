"""Evaluations: whole episodes, or as much of them as the limit allows."""

import numpy as np
import pytest
import tensorflow as tf

from rl_fn import envs, loops, random, struct
from rl_fn.agents import dqn
from tests import drawn
from tests.envs.host.environments import Count
from tests.loops.agents import versions

ENV = envs.make("CartPole-v1")
HPARAMS = dqn.DQNHParams(num_envs=4, replay_capacity=100, learning_starts=16, batch_size=8).override(hidden_sizes=(16,))


def test_evaluation_plays_whole_episodes_and_explores_nothing():
    agent = dqn.make(ENV.spec, HPARAMS)
    policy = agent.init(random.key(0)).policy
    evaluate = loops.evaluate(agent, ENV, num_episodes=20, chunk=7)
    returns, lengths, finished = evaluate(policy, random.key(1))
    assert returns.shape == lengths.shape == (20,)
    np.testing.assert_array_equal(returns, lengths)
    assert lengths.min() >= 8
    assert finished.all()
    np.testing.assert_array_equal(evaluate(policy, random.key(1)).returns, returns)
    copies = loops.evaluate(agent, ENV, num_episodes=20, copies=True, chunk=7)
    both = copies(struct.stack([policy, policy]), tf.stack([random.key(1), random.key(2)])).returns
    np.testing.assert_array_equal(both[0], returns)
    assert np.any(both[1] != returns)
    observations = random.normal(random.key(3), [50, 4])
    greedy, again, exploring = (
        agent.act(policy, (), observations, random.key(seed), mode).action
        for seed, mode in [(4, "eval"), (5, "eval"), (6, "train")]
    )
    np.testing.assert_array_equal(greedy, again)
    assert np.any(greedy != exploring)


def test_who_watches_an_evaluation_sees_the_actions_of_every_tenth_step():
    seen = []
    evaluate = loops.evaluate(versions(), drawn.make(), 3, chunk=25, max_steps=50, watch=seen.append)
    evaluate(tf.constant(1), random.key(0))
    assert [actions.shape for actions in seen] == [(3, 3)] * len(seen)
    assert seen


@pytest.mark.parametrize(("chunk", "limit"), [(100, 5), (2, 5), (1, 11)])
def test_an_episode_is_cut_at_the_limit_however_long_the_chunks(chunk, limit):
    evaluate = loops.evaluate(versions(), drawn.make(), 3, chunk=chunk, max_steps=limit)
    returns, lengths, finished = evaluate(tf.constant(1), random.key(0))
    assert lengths.tolist() == [limit] * 3
    assert returns.tolist() == [limit * 0.5] * 3
    assert not finished.any()


def test_an_episode_that_ends_at_the_limit_is_finished():
    evaluate = loops.evaluate(versions(), drawn.make(), 2, chunk=5, max_steps=12)
    assert evaluate(tf.constant(1), random.key(0)).finished.all()


def test_the_limit_is_the_environments_own_unless_told_and_there_is_always_one():
    endless = drawn.make()._replace(step=lambda state, action, key: _endless(drawn.make(), state, action, key))
    timed = endless._replace(spec=endless.spec._replace(max_episode_steps=40))
    for env, expected in [(timed, 40), (endless, 10_000)]:
        _, lengths, finished = loops.evaluate(versions(), env, 2)(tf.constant(0), random.key(0))
        assert lengths.tolist() == [expected] * 2
        assert not finished.any()
    with pytest.raises(ValueError, match="max_steps is 0, expected at least 1"):
        loops.evaluate(versions(), endless, 2, max_steps=0)


def _endless(env, state, action, key):
    after, outcome = env.step(state, action, key)
    return after, outcome._replace(terminated=tf.zeros_like(outcome.terminated))


def test_an_evaluation_stops_when_told():
    asked = iter([False, False, True])
    evaluate = loops.evaluate(versions(), drawn.make(), 2, chunk=1)
    with pytest.raises(loops.Stopped, match="the evaluation in Drawn-v0 was told to stop"):
        evaluate(tf.constant(0), random.key(0), stop=lambda: next(asked))
    host = loops.host_evaluate(versions(), envs.gymnasium_env(Count, 2), 2)
    asked = iter([False, False, True])
    with pytest.raises(loops.Stopped, match="acting in Count was told to stop"):
        host(tf.constant(0), random.key(0), stop=lambda: next(asked))
    assert host(tf.constant(0), random.key(0)).lengths.tolist() == [3, 3]


@pytest.mark.parametrize("num_episodes", [1, 3, 7])
def test_host_evaluations_count_long_episodes_as_often_as_short_ones(num_episodes):
    env = envs.gymnasium_env([Count(length) for length in (2, 30, 5)])
    evaluate = loops.host_evaluate(versions(), env, num_episodes)
    for policy in (1, 0):
        returns, lengths, finished = evaluate(tf.constant(policy), random.key(1))
        np.testing.assert_array_equal(lengths, [(2, 30, 5)[episode % 3] for episode in range(num_episodes)])
        np.testing.assert_array_equal(returns, policy * lengths)
        assert finished.all()


def test_host_episodes_are_cut_at_the_limit_and_the_others_played():
    env = envs.gymnasium_env([Count(length) for length in (2, 30, 5)])
    returns, lengths, finished = loops.host_evaluate(versions(), env, 8, max_steps=6)(tf.constant(1), random.key(1))
    assert lengths.tolist() == [2, 6, 5, 2, 6, 5, 2, 6]
    assert returns.tolist() == lengths.tolist()
    assert finished.tolist() == [True, False, True] * 2 + [True, False]


def test_a_policy_of_another_shape_and_a_compiled_environment_are_refused():
    evaluate = loops.host_evaluate(versions(), envs.gymnasium_env(Count, 2), 2)
    evaluate(tf.constant(1), random.key(0))
    with pytest.raises(ValueError, match=r"restore: policy is int32 \(2,\), expected int32 \(\)"):
        evaluate(tf.constant([1, 1]), random.key(0))
    with pytest.raises(TypeError, match="CartPole-v1 is a compiled environment, expected a host one; see `train_step`"):
        loops.host_evaluate(versions(), ENV, 2)
