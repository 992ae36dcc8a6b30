import numpy as np
import pytest
import tensorflow as tf

from rl_fn import envs, loops, random, returns
from rl_fn.agents import impala

ENV = envs.make("CartPole-v1")
HPARAMS = impala.IMPALAHParams(train_steps=6_400, num_envs=4, rollout_length=8).override(hidden_sizes=(16,))


def policies_seen(lag, iterations):
    """The parameters of the learner after each update, and those that acted in each rollout."""
    agent = impala.make(ENV.spec, HPARAMS.override(actor_lag=lag))
    acted = []
    step = tf.function(loops.train_step(agent, ENV), jit_compile=True)
    state = loops.init_state(agent, ENV, random.key(0))
    learners = [state.agent]
    for _ in range(iterations):
        acting = tf.nest.map_structure(lambda leaf: leaf[0], state.policies) if lag else state.agent.policy
        acted.append(acting)
        state, _ = step(state)
        learners.append(state.agent)
    return learners, acted


@pytest.mark.parametrize("lag", [0, 1, 3])
def test_the_acting_policy_is_that_many_updates_behind(lag):
    learners, acted = policies_seen(lag, 6)
    for iteration, acting in enumerate(acted):
        expected = learners[max(iteration - lag, 0)].policy
        for a, b in zip(tf.nest.flatten(acting), tf.nest.flatten(expected), strict=True):
            np.testing.assert_array_equal(a, b)


def test_lagging_behaviour_is_what_the_ratios_see():
    def divergence(lag):
        agent = impala.make(ENV.spec, HPARAMS.override(learning_rate=1e-2, actor_lag=lag))
        step = loops.train_step(agent, ENV)
        compiled = loops.compile(step, loops.init_state(agent, ENV, random.key(0)))
        return abs(compiled.run(20).metrics["approx_kl"])

    assert divergence(0) < 1e-5
    assert divergence(4) > 1e-3


def test_vtrace_is_the_n_step_return_at_lag_zero_and_lambda_one():
    agent = impala.make(ENV.spec, HPARAMS)
    state = agent.init(random.key(0))
    actors = loops.init_actors(agent, ENV, 4, random.key(1))
    _, (trajectory, _) = loops.rollout(agent, ENV, state.policy, actors, random.key(2), 40)
    rng = np.random.default_rng(0)
    v_tm1, v_t = (tf.constant(rng.normal(size=(40, 4)), tf.float32) for _ in range(2))
    # Inside an episode the value of a successor is that of the next step.
    v_t = tf.concat([tf.where(trajectory.is_last[:-1], v_t[:-1], v_tm1[1:]), v_t[-1:]], axis=0)
    discount = trajectory.discount(0.99)
    targets = returns.vtrace(
        v_tm1, v_t, trajectory.reward, discount, tf.ones([40, 4]), truncated_t=trajectory.is_last
    ).targets
    expected = np.zeros((40, 4))
    for b in range(4):
        after = v_t.numpy()[-1, b]
        for t in reversed(range(40)):
            if trajectory.is_last[t, b]:
                after = v_t.numpy()[t, b]
            after = trajectory.reward.numpy()[t, b] + discount.numpy()[t, b] * after
            expected[t, b] = after
    np.testing.assert_allclose(targets, expected, rtol=1e-4, atol=1e-4)
