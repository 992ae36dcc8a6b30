"""Training in compiled environments: what a chunk says, when it ends, and what does not fit."""

from typing import NamedTuple

import numpy as np
import pytest
import tensorflow as tf
from gymnasium import spaces

from rl_fn import agents, envs, loops, random, struct
from rl_fn.struct import Mean
from tests import drawn
from tests.envs.host.environments import Count
from tests.loops.agents import saying, versions

ENV = drawn.make()  # pays 0.5 for each of 12 steps


def compiled(agent, env=ENV):
    return loops.compile(loops.train_step(agent, env), loops.init_state(agent, env, random.key(0)))


def test_episodes_are_counted_and_metrics_averaged():
    runner = compiled(versions(num_envs=3, rollout_length=5))
    metrics, episodes = loops.summarize(runner.run(6), 6)  # 30 steps in each environment
    assert metrics == {"acted": (0 + 1 + 2 + 3 + 4 + 5) / 6}
    assert episodes == (6, 6.0, 12.0)
    metrics, episodes = loops.summarize(runner.run(1), 1)  # up to step 35
    assert episodes.count == 0
    assert np.isnan([episodes.episode_return, episodes.episode_length]).all()


def test_metrics_are_handed_through_whatever_their_names():
    names = {"episode_bonus": 3.0, "episode_count": 7.0, "episode_return": -1.0, "count": 2.0}
    agent = saying(lambda updates: {name: tf.constant(value) for name, value in names.items()})
    metrics, episodes = loops.summarize(compiled(agent).run(6), 6)
    assert metrics == names
    assert episodes == (4, 6.0, 12.0)


def test_nothing_to_report_is_left_out_and_nan_is_not():
    def metrics(updates):
        ready = tf.cast(updates >= 2, tf.float32)
        return {"loss": Mean(ready * 5.0, ready), "steps": Mean(ready * 6.0, ready * 3), "bad": float("nan"), "one": 1}

    runner = compiled(saying(metrics))
    chunks = list(loops.train(runner, 4, max_chunk=2, chunk_seconds=100.0))
    assert [chunk.iteration for chunk in chunks] == [1, 2, 4]  # chunks grow after the second
    assert [sorted(chunk.metrics) for chunk in chunks] == [["bad", "one"]] * 2 + [["bad", "loss", "one", "steps"]]
    assert (chunks[2].metrics["loss"], chunks[2].metrics["steps"]) == (5.0, 2.0)
    assert all(np.isnan(chunk.metrics["bad"]) and chunk.metrics["one"] == 1.0 for chunk in chunks)
    # A mean over iterations of which some had nothing to say is that of the others.
    runner.restore(loops.init_state(versions(), ENV, random.key(0)))
    assert loops.summarize(runner.run(8), 8)[0]["loss"] == 5.0


def test_chunks_pause_where_asked():
    chunks = list(loops.train(compiled(versions()), 23, pause_every=10, max_chunk=4))
    ends = [chunk.iteration for chunk in chunks]
    assert {10, 20, 23} <= set(ends)
    assert sum(chunk.iterations for chunk in chunks) == 23
    assert max(chunk.iterations for chunk in chunks) <= 4
    assert [chunk.compiled for chunk in chunks] == [True] + [False] * (len(chunks) - 1)


def test_a_loop_goes_on_where_the_state_is_and_ends_when_told():
    runner = compiled(versions())
    answers = iter([False, False, True])
    chunks = list(loops.train(runner, 10**9, max_chunk=3, stop=lambda: next(answers)))
    assert [chunk.iteration for chunk in chunks] == [1, 2]
    assert runner.read().iteration == 2
    assert [chunk.iteration for chunk in loops.train(runner, 4, max_chunk=1)] == [3, 4]
    with pytest.raises(ValueError, match="train: start is 0, expected the 4 iterations that the state has done"):
        loops.train(runner, 9, start=0)
    assert list(loops.train(runner, 9, start=4, stop=lambda: True)) == []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"num_envs": 64}, r"the state has 64 environments, expected the schedule's num_envs 2"),
        ({"actor_lag": 2}, r"the state keeps 2 policies, expected the schedule's actor_lag 0"),
    ],
)
def test_a_state_of_another_schedule_is_refused(change, message):
    state = loops.init_state(versions(**change), ENV, random.key(0))
    with pytest.raises(ValueError, match=message):
        loops.compile(loops.train_step(versions(), ENV), state).run(1)
    copies = loops.compile(loops.vectorize(loops.train_step(versions(), ENV)), struct.stack([state, state]))
    with pytest.raises(ValueError, match=message):
        copies.run(1)


def test_a_lag_of_another_length_is_refused_and_one_that_fits_runs():
    agent = versions(actor_lag=1)
    with pytest.raises(ValueError, match="the state keeps 0 policies, expected the schedule's actor_lag 1"):
        loops.compile(loops.train_step(agent, ENV), loops.init_state(versions(), ENV, random.key(0))).run(1)
    runner = compiled(agent)
    acted = [runner.run(1).metrics["acted"] for _ in range(4)]
    assert acted == [0, 0, 1, 2]


def test_a_state_of_other_environments_or_another_agent_is_refused():
    state = loops.init_state(versions(), ENV, random.key(0))
    cartpole = envs.make("CartPole-v1")
    with pytest.raises(ValueError, match=r"CartPole-v1: observation is float32 \(2, 1\), expected float32 \(2, 4\)"):
        loops.train_step(versions(), cartpole)(state)
    forgetful = versions()._replace(init_actor=lambda batch_size: ())
    with pytest.raises(ValueError, match="the state does not fit the agent and Drawn-v0: the state has another struct"):
        loops.train_step(forgetful, ENV)(state)


def test_host_environments_are_refused_by_name():
    env = envs.gymnasium_env(Count, 2)
    for make in (loops.train_step, lambda *parts: loops.init_state(*parts, random.key(0))):
        with pytest.raises(
            TypeError, match=r"env is a SubEnvs, expected a compiled one \(envs.Env\); see `host_train`"
        ):
            make(versions(), env)


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("reward", tf.zeros([2, 1]), r"gives reward float32 \(2, 1\), expected float32 \(2,\)"),
        ("reward", tf.zeros([2], tf.float64), r"gives reward float64 \(2,\), expected float32 \(2,\)"),
        ("terminated", tf.zeros([2]), r"gives terminated float32 \(2,\), expected bool \(2,\)"),
    ],
)
def test_rewards_and_ends_are_one_per_environment(field, value, message):
    def step(state, action, key):
        after, outcome = ENV.step(state, action, key)
        return after, outcome._replace(**{field: value})

    env = ENV._replace(step=step, spec=ENV.spec._replace(observation_space=spaces.Box(0.0, 100.0, [1], np.float32)))
    with pytest.raises(ValueError, match=message):
        compiled(versions(), env).run(1)


class OfTwo(NamedTuple):
    policy: tf.Tensor
    count: tf.Tensor


@pytest.mark.parametrize(
    ("changed", "error", "message"),
    [
        (
            {"init": lambda key: {"policy": key}},
            TypeError,
            "init gives a dict, expected a NamedTuple with a field policy",
        ),
        (
            {"act": lambda *_: tf.zeros([3])},
            TypeError,
            r"act gives a \w*Tensor, expected ActorStep\(action, actor_state",
        ),
        (
            {"act": lambda *_: agents.base.ActorStep(tf.zeros([3], tf.int32), (), None)},
            TypeError,
            "act gives extras that are a NoneType, expected a dict",
        ),
        (
            {"act": lambda *_: agents.base.ActorStep(tf.random.uniform([3], 0, 2, tf.int32), (), {})},
            ValueError,
            "the agent's act draws from tf.random, which is no part of a compiled program: draw from its key",
        ),
        ({"update": lambda state, *_: state}, TypeError, r"update gives a .*, expected \(agent_state, metrics\)"),
        (
            {"update": lambda state, *_: OfTwo(state, state)},
            TypeError,
            "update gives a OfTwo of policy, count, expected",
        ),
        (
            {"update": lambda *_: (OfTwo(1, 2), {})},
            ValueError,
            "another structure than before: agent/acted and 2 more gone and agent/count new",
        ),
    ],
)
def test_an_agent_that_gives_something_else_is_told_what_was_expected(changed, error, message):
    with pytest.raises(error, match=message):
        compiled(versions()._replace(**changed)).run(1)


def test_a_loss_is_one_number_with_metrics():
    params = tf.constant([1.0, 2.0])
    with pytest.raises(ValueError, match=r"the loss has shape \(2,\), expected one number, such as its tf.reduce_mean"):
        struct.value_and_gradient(lambda params: (tf.square(params), {}), params)
    with pytest.raises(TypeError, match="the loss is a NoneType, expected a floating-point tensor"):
        struct.value_and_gradient(lambda params: (None, {}), params)
    with pytest.raises(TypeError, match="the loss is int32, expected a floating-point tensor"):
        struct.value_and_gradient(lambda params: (tf.constant(1), {}), params)
    with pytest.raises(TypeError, match="params: count is int32, expected a floating-point tensor"):
        struct.value_and_gradient(
            lambda params: (tf.reduce_sum(params["w"]), {}), {"w": params, "count": tf.constant(1)}
        )
    with pytest.raises(TypeError, match=r"the loss function gives a EagerTensor, expected \(loss, metrics\)"):
        struct.value_and_gradient(tf.reduce_sum, params)


def test_agents_are_made_of_a_specification_and_their_own_hyper_parameters():
    env, hparams = envs.make("CartPole-v1"), agents.ppo.PPOHParams()
    with pytest.raises(
        TypeError, match=r"ppo.make: spec is a Env, expected the specification .* rl.envs.make\(name\).spec"
    ):
        agents.ppo.make(env, hparams)
    with pytest.raises(TypeError, match=r"ppo.make: hparams is a DQNHParams, expected a PPOHParams"):
        agents.ppo.make(env.spec, agents.dqn.DQNHParams())
