import numpy as np
import pytest
import tensorflow as tf

from rl_fn import envs, loops, random, struct
from rl_fn.agents import rainbow

ENV = envs.make("CartPole-v1")
HPARAMS = rainbow.RainbowHParams(
    train_steps=4_000, num_envs=4, learning_starts=64, batch_size=16, replay_capacity=500
).override(hidden_sizes=(16,), stream_sizes=(16,), num_atoms=11, rollout_length=4, target_period=1_000)
AGENT = rainbow.make(ENV.spec, HPARAMS)
OBSERVATIONS = random.normal(random.key(3), [200, 4])


def numpy(state):
    return tf.nest.map_structure(lambda leaf: leaf.numpy(), state)


@pytest.fixture(scope="module")
def states():
    """The states of two copies before and after each of three stretches of a run."""
    step = loops.vectorize(loops.train_step(AGENT, ENV))
    start = struct.stack([loops.init_state(AGENT, ENV, random.key(seed)) for seed in (0, 0)])
    compiled = loops.compile(step, start._replace(key=tf.stack([random.key(1), random.key(2)])))
    seen = [numpy(compiled.read())]
    for iterations in (3, 3, 20):
        compiled.run(iterations)
        seen.append(numpy(compiled.read()))
    return seen


def actions(policy, seed, mode):
    return AGENT.act(policy, (), OBSERVATIONS, random.key(seed), mode).action.numpy()


def test_noise_is_fresh_in_every_step_and_absent_in_evaluation():
    policy = AGENT.init(random.key(0)).policy
    first, again, other = (actions(policy, seed, "train") for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert np.any(first != other)
    np.testing.assert_array_equal(actions(policy, 1, "eval"), actions(policy, 2, "eval"))


def test_noise_differs_between_copies(states):
    # Both copies have the same parameters and environments at first, and only their keys differ.
    episodes = states[1].actors.observation
    assert np.any(episodes[0] != episodes[1])


def test_nothing_is_learned_before_there_is_enough_experience(states):
    for before, after in zip(*(tf.nest.flatten(s.agent.learner.online.params) for s in states[:2]), strict=True):
        np.testing.assert_array_equal(before, after)
    changed = zip(*(tf.nest.flatten(s.agent.learner.online.params) for s in (states[0], states[3])), strict=True)
    assert all(np.any(before != after) for before, after in changed)


def test_priorities_become_errors(states):
    before, after = states[1].agent.replay, states[3].agent.replay
    kept = before.size[0]
    np.testing.assert_array_equal(before.weights[0][0][:kept], np.ones(kept))
    weights = after.weights[0][0][: after.size[0]]
    assert len(np.unique(weights)) > 50
    assert np.all(weights > 0)
    assert after.max_priority[0] > 1


def test_the_noise_is_learned(states):
    before, after = (s.agent.learner.online.params["deviation"] for s in (states[0], states[3]))
    changed = zip(tf.nest.flatten(before), tf.nest.flatten(after), strict=True)
    assert all(np.any(a != b) for a, b in changed)


def test_importance_weights_enter_the_loss(states):
    trajectory = loops.rollout(
        AGENT, ENV, AGENT.init(random.key(0)).policy, loops.init_actors(AGENT, ENV, 4, random.key(1)), random.key(2), 4
    )[1][0]

    def learned(state, exponent):
        agent = rainbow.make(ENV.spec, HPARAMS.override(importance_exponent=exponent, train_steps=10**9))
        return tf.nest.flatten(agent.update(state, trajectory, random.key(3))[0].learner.online.params)

    # All priorities are equal in the first state, and so are the weights, whatever their exponent.
    equal, different = (tf.nest.map_structure(lambda leaf: leaf[0], states[i].agent) for i in (1, 3))
    for a, b in zip(learned(equal, 0.0), learned(equal, 1.0), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)
    assert any(
        np.any(np.abs(a - b) > 1e-5) for a, b in zip(learned(different, 0.0), learned(different, 1.0), strict=True)
    )


def test_the_support_of_returns_must_not_be_empty():
    with pytest.raises(ValueError, match="v_min is 3, expected less than v_max = 2"):
        rainbow.RainbowHParams(v_min=3.0, v_max=2.0)
    with pytest.raises(ValueError, match="rainbow needs a Discrete action space, Pendulum-v1 has Box"):
        rainbow.make(envs.make("Pendulum-v1").spec, HPARAMS)
