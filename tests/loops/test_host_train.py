"""Training in host environments: which policy acts where, what reaches the update, and what becomes of mishaps."""

import functools
import logging
import re
import time

import numpy as np
import pytest
import tensorflow as tf

from rl_fn import envs, loops, random
from rl_fn.agents import dqn
from rl_fn.envs.host.sub_envs import SubEnvs
from rl_fn.struct import Mean
from tests.envs.host.environments import Count, Rooms, Walk
from tests.loops.agents import saying, versions

DQN = dqn.DQNHParams(train_steps=2_000, num_envs=2, rollout_length=10, learning_starts=64, batch_size=8).override(
    hidden_sizes=(16,), replay_capacity=1_000
)


class Recorder:
    """A host environment that keeps the actions that arrive."""

    def __init__(self, env):
        self._env, self.actions = env, []
        self.spec, self.num_envs, self.reset, self.close = env.spec, env.num_envs, env.reset, env.close

    def step(self, actions):
        self.actions.append(actions.tolist())
        return self._env.step(np.zeros_like(actions))


def compiled_of(agent, seed=0):
    return loops.compile(loops.host_step(agent), loops.init_host_state(agent, random.key(seed)))


def trained(agent, env, iterations, compiled=None, **options):
    compiled = compiled or compiled_of(agent)
    chunks = list(loops.host_train(agent, env, compiled, iterations, **options))
    return compiled, chunks


@pytest.mark.parametrize("lag", [0, 1, 3])
def test_the_policy_that_acts_is_as_old_as_asked(lag):
    env = Recorder(envs.gymnasium_env(Count, 2))
    compiled, chunks = trained(versions(actor_lag=lag), env, 8, max_chunk=3)
    expected = [max(0, i - lag) for i in range(8)]
    assert env.actions == [[version] * 2 for version in expected for _ in range(4)]
    state = compiled.read()
    assert (state.agent.policy, state.agent.acted, state.iteration) == (8, expected[-1], 8)
    acted = sum(chunk.metrics["acted"] * chunk.iterations for chunk in chunks)
    assert acted == sum(expected)


def test_chunks_are_those_of_the_compiled_loop():
    _, chunks = trained(versions(rollout_length=2), envs.gymnasium_env(Count, 2), 23, pause_every=10, max_chunk=4)
    ends = [chunk.iteration for chunk in chunks]
    assert {10, 20, 23} <= set(ends)
    assert [chunk.iterations for chunk in chunks] == np.diff([0, *ends]).tolist()
    assert max(chunk.iterations for chunk in chunks) <= 4
    assert [chunk.compiled for chunk in chunks] == [True] + [False] * (len(chunks) - 1)


def test_trajectories_are_time_major_and_continue_each_other():
    agent = versions(rollout_length=7)
    learner = loops.make_learner(agent, compiled_of(agent))
    actors = loops.HostActors(agent, envs.gymnasium_env([Count(2), Count(3)]), seed=0)
    trajectories, episodes = [], []
    for iteration in range(2):
        trajectories.append(actors.rollout(learner.acting(), iteration))
        episodes.append(actors.ended())
        learner.learn(trajectories[-1])
    whole = tf.nest.map_structure(lambda *parts: np.concatenate(parts), *trajectories)
    last = whole.terminated | whole.truncated
    assert whole.observation.shape == (14, 2, 2)
    np.testing.assert_array_equal(last.sum(0), [14 // 2, 14 // 3])
    continues = np.all(whole.next_observation[:-1] == whole.observation[1:], -1)
    np.testing.assert_array_equal(continues, ~last[:-1])
    np.testing.assert_array_equal(whole.next_observation[..., 1], whole.observation[..., 1] + 1)
    # What acting carries along begins anew with each episode, also across rollouts.
    np.testing.assert_array_equal(whole.extras["steps"], whole.observation[..., 1])
    assert len(np.unique(whole.extras["noise"])) == 28
    np.testing.assert_array_equal([e.count for e in episodes], [last[:7].sum(), last[7:].sum()])
    assert sum(e.length_sum for e in episodes) == 7 * 2 + 4 * 3
    assert sum(e.return_sum for e in episodes) == whole.reward[:12].sum() + whole.reward[12:, 0].sum()
    metrics, means = loops.summarize(loops.StepReport(learner.drain(), episodes[1]), 2)
    assert metrics == {"acted": (0 + 1) / 2}
    assert means.count == episodes[1].count


def test_observations_of_a_rollout_without_an_end_are_kept_once():
    agent = versions(rollout_length=4)
    actors = loops.HostActors(agent, envs.gymnasium_env([Count(6), Count(6)]), seed=0)
    act = loops.make_learner(agent, compiled_of(agent)).acting()
    without, ended = actors.rollout(act, 0), actors.rollout(act, 1)
    assert np.shares_memory(without.observation[1:], without.next_observation[:-1])
    assert not np.shares_memory(ended.observation, ended.next_observation)
    np.testing.assert_array_equal(without.next_observation[..., 1], without.observation[..., 1] + 1)
    np.testing.assert_array_equal(ended.observation[..., 1], [[4, 4], [5, 5], [0, 0], [1, 1]])


def test_metrics_mean_what_they_do_in_the_compiled_loop():
    def metrics(updates):
        ready = tf.cast(updates >= 2, tf.float32)
        return {"loss": Mean(ready * 5.0, ready), "bad": float("nan"), "episode_count": tf.constant(3)}

    for lag in (0, 1):
        agent = saying(metrics)
        agent = agent._replace(schedule=agent.schedule._replace(actor_lag=lag))
        _, chunks = trained(agent, envs.gymnasium_env(Count, 2), 5, max_chunk=2, chunk_seconds=100.0)
        assert [chunk.iteration for chunk in chunks] == [1, 3, 5]
        assert ["loss" in chunk.metrics for chunk in chunks] == [False, True, True]
        assert all(np.isnan(chunk.metrics["bad"]) and chunk.metrics["episode_count"] == 3 for chunk in chunks)
        assert chunks[1].metrics["loss"] == chunks[2].metrics["loss"] == 5.0
        assert [chunk.episodes.count for chunk in chunks] == [2, 6, 4]
        assert [chunk.episodes.episode_length for chunk in chunks] == [3, 3, 3]


@pytest.mark.parametrize("lag", [0, 1])
def test_the_key_determines_a_run(lag):
    digests = []
    agent = versions(rollout_length=8, actor_lag=lag)
    for seed, backend, chunk in [(0, "sync", 1), (0, "thread", 3), (1, "sync", 1)]:
        env = envs.gymnasium_env(Walk, 2, backend)
        compiled, _ = trained(agent, Recorder(env), 5, compiled_of(agent, seed), max_chunk=chunk)
        digests.append(float(compiled.read().agent.digest))
    assert digests[0] == digests[1] != digests[2]


@pytest.mark.parametrize("lag", [0, 1])
def test_a_rollout_is_abandoned_when_told_and_the_state_is_that_after_the_last_update(lag):
    env = Recorder(envs.gymnasium_env(Count, 2))
    agent = versions(actor_lag=lag)
    stop = lambda: len(env.actions) == 10  # in the middle of the third rollout
    compiled, chunks = trained(agent, env, 10**6, stop=stop, chunk_seconds=100.0)
    assert [chunk.iteration for chunk in chunks] == [1, 2]
    assert len(env.actions) == 10
    state = compiled.read()
    assert (state.iteration, state.agent.policy) == (2, 2)
    assert trained(agent, env, 10**6, compiled, stop=stop)[1] == []
    assert compiled.read().iteration == 2


@pytest.mark.parametrize("backend", ["thread", "process"])
def test_environments_that_hang_are_abandoned_when_told_and_made_again(backend, tmp_path):
    makers = [Walk, functools.partial(Walk, every=6, mishap="hang", marker=tmp_path / "hung")]
    env = SubEnvs("walk", makers, backend)  # which would wait for a minute
    agent = versions()
    begin = time.monotonic()
    compiled, chunks = trained(agent, env, 10**6, stop=(tmp_path / "hung").exists, chunk_seconds=100.0)
    assert [chunk.iteration for chunk in chunks] == [1]
    assert time.monotonic() - begin < 20
    assert trained(agent, env, 3, compiled)[1][-1].iteration == 3
    env.close()


def test_where_a_run_goes_on_what_waits_in_the_agent_is_cut():
    agent = versions()
    compiled, _ = trained(agent, envs.gymnasium_env(Count, 2), 3)
    assert compiled.read().agent.cuts == 0
    _, chunks = trained(agent, envs.gymnasium_env(Count, 2), 5, compiled)
    assert (compiled.read().agent.cuts, chunks[0].iteration, chunks[-1].iteration) == (1, 4, 5)
    with pytest.raises(ValueError, match="host_train: start is 3, expected the 5 iterations that the state has done"):
        loops.host_train(agent, envs.gymnasium_env(Count, 2), compiled, 9, start=3)


def test_environments_that_do_not_fit_are_refused_by_name():
    agent = versions()
    with pytest.raises(ValueError, match=r"Count has num_envs 3, expected 2 as in the agent's schedule"):
        loops.host_train(agent, envs.gymnasium_env(Count, 3), compiled_of(agent), 1)
    with pytest.raises(TypeError, match="CartPole-v1 is a compiled environment, expected a host one; see `train_step`"):
        loops.host_train(agent, envs.make("CartPole-v1"), compiled_of(agent), 1)


@pytest.mark.parametrize("field", ["reward", "terminated", "truncated"])
def test_rewards_and_ends_are_one_per_environment(field):
    env = envs.gymnasium_env(Count, 2)

    class Columns(Recorder):
        def step(self, actions):
            outcome = env.step(actions)
            return outcome._replace(**{field: getattr(outcome, field)[:, np.newaxis]})

    with pytest.raises(ValueError, match=rf"Count: its step gives .*{field} \(2, 1\).*, expected \(2,\)"):
        trained(versions(), Columns(env), 1)


def test_nested_observations_train():
    env = envs.gymnasium_env(Rooms, 2)
    agent = dqn.make(env.spec, DQN)
    compiled, chunks = trained(agent, env, 60, max_chunk=20)
    assert np.isfinite(chunks[-1].metrics["loss"])
    evaluate = loops.host_evaluate(agent, env, 4)
    before = evaluate(agent.init(random.key(0)).policy, random.key(2)).returns
    after = evaluate(compiled.read(lambda state: state.agent.policy), random.key(2)).returns
    assert after.mean() > max(before.mean(), 0)  # the reward is the action


def test_cartpole_of_gym_trains():
    env = envs.make("gym:CartPole-v1", num_envs=2)
    agent = dqn.make(env.spec, DQN)
    compiled, chunks = trained(agent, env, DQN.num_iterations, max_chunk=20)
    steps = sum(np.nan_to_num(chunk.episodes.episode_length) * chunk.episodes.count for chunk in chunks)
    assert 1_000 < steps <= 2_000
    assert np.isfinite(chunks[-1].metrics["loss"])
    assert compiled.read().iteration == 100


def test_training_survives_environments_that_raise_and_one_that_hangs(tmp_path, caplog):
    makers = [lambda: Walk(every=500), lambda: Walk(every=300, mishap="hang", marker=tmp_path / "hung")]
    env = Recorder(SubEnvs("walk", makers, "process", timeout=1.5))
    with caplog.at_level(logging.ERROR, "rl_fn"):
        compiled, _ = trained(versions(rollout_length=10), env, 120)
    env.close()
    assert compiled.read().iteration == 120
    told = [record.getMessage() for record in caplog.records]
    assert [re.search(r"environment \d", text)[0] for text in told] == [
        "environment 1",
        "environment 0",
        "environment 0",
    ]
    assert "it did not answer within 1.5 seconds" in told[0]
    assert all("the walker fell" in text for text in told[1:])
