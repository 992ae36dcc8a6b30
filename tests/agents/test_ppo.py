import numpy as np
import pytest
import tensorflow as tf

from rl_fn import envs, learning, loops, random, struct
from rl_fn.agents import ppo
from rl_fn.normalization import RunningMoments

ENV = envs.make("CartPole-v1")
PENDULUM = envs.make("Pendulum-v1")


def rolled_out(env, hparams, length, seed=0, make=ppo.make, **parts):
    agent = make(env.spec, hparams)
    state = agent.init(random.key(seed))._replace(**parts)
    # A policy that depends on what it sees from the start.
    larger = lambda path, leaf: 100 * leaf if "policy/" in path and leaf.shape.rank == 2 else leaf
    names = [larger(*named) for named in struct.named_leaves(state.policy.params)]
    params = tf.nest.pack_sequence_as(state.policy.params, names)
    state = state._replace(learner=state.learner._replace(params=params))
    actors = loops.init_actors(agent, env, hparams.num_envs, random.key(seed + 1))
    run = tf.function(
        lambda: loops.rollout(agent, env, state.policy, actors, random.key(seed + 2), length), jit_compile=True
    )
    return agent, state, *run()


@pytest.mark.parametrize("memory", ["none", "gru", "lstm"])
def test_the_first_gradient_step_sees_the_policy_that_acted(memory):
    # The whole rollout is one minibatch of one epoch: ratios are one, so nothing is clipped and the KL is zero.
    # That holds only if the memory is rebuilt as it was, with resets inside the sequences.
    hparams = ppo.PPOHParams(num_envs=4, rollout_length=64, num_epochs=1, num_minibatches=1).override(
        hidden_sizes=(16,), memory=memory, memory_units=8, sequence_length=64 if memory != "none" else 1
    )
    agent, state, _, (trajectory, _) = rolled_out(ENV, hparams, 64)
    assert trajectory.is_last.numpy()[:-1].sum() >= 3
    _, metrics = tf.function(agent.update, jit_compile=True)(state, trajectory, random.key(9))
    assert metrics["clip_fraction"] == 0
    assert abs(metrics["approx_kl"]) < 1e-5
    # With the resets elsewhere, it does not.
    if memory != "none":
        shifted = trajectory._replace(terminated=tf.roll(trajectory.terminated, 5, 0))
        _, metrics = agent.update(state, shifted, random.key(9))
        assert metrics["approx_kl"] > 1e-4


def test_observations_are_normalised_alike_in_a_rollout_and_its_update():
    hparams = ppo.PPOHParams(num_envs=4, rollout_length=16, num_epochs=1, num_minibatches=1).override(
        hidden_sizes=(16,), normalize_observations=True
    )
    seen = RunningMoments.init(tf.TensorSpec([4])).update(5 + tf.random.stateless_normal([8, 4], [0, 1]))
    agent, state, _, (trajectory, _) = rolled_out(ENV, hparams, 16, observations=seen)
    after, metrics = tf.function(agent.update, jit_compile=True)(state, trajectory, random.key(9))
    assert abs(metrics["approx_kl"]) < 1e-5
    assert np.all(after.observations.mean != seen.mean)


SMALL = ppo.PPOHParams(num_envs=4, rollout_length=16, num_minibatches=1, learning_rate=1e-2).override(hidden_sizes=(8,))


@pytest.mark.parametrize(("target", "factor"), [(1e-9, 2.0), (1e3, 0.5)])
def test_the_cost_of_the_divergence_adapts_to_its_target(target, factor):
    agent, state, _, (trajectory, _) = rolled_out(ENV, SMALL.override(kl_cost=3.0, kl_target=target), 16)
    after, metrics = tf.function(agent.update, jit_compile=True)(state, trajectory, random.key(9))
    assert metrics["kl"] > 1e-6
    np.testing.assert_allclose(after.learner.kl_cost, 3.0 * factor)


def test_an_update_stops_where_the_policy_has_moved_far_enough():
    ten = SMALL.override(train_steps=10 * 4 * 16)
    agent, state, _, (trajectory, _) = rolled_out(ENV, ten.override(num_epochs=4, stop_kl=1e-6), 16)
    once = ppo.make(ENV.spec, ten.override(num_epochs=1))
    stopped, whole = (a.update(state, trajectory, random.key(9))[0].learner for a in (agent, once))
    for (name, leaf), (_, expected) in zip(*map(struct.named_leaves, (stopped, whole)), strict=True):
        np.testing.assert_allclose(leaf, expected, rtol=1e-5, atol=1e-7, err_msg=name)
    # The step size falls with the updates, also with one that has left gradient steps out.
    metrics = agent.update(state._replace(learner=stopped), trajectory, random.key(9))[1]
    np.testing.assert_allclose(metrics["learning_rate"], 1e-2 * 9 / 10, rtol=1e-5)


def test_the_clip_range_falls_over_the_run():
    hparams = SMALL.override(train_steps=64 * 10, anneal_clip_epsilon=True, clip_epsilon=0.2)
    learner = ppo.make(ENV.spec, hparams).init(random.key(0)).learner
    at = lambda updates: hparams.at(learner._replace(num_updates=tf.constant(updates))).clip_epsilon
    np.testing.assert_allclose([at(0), at(5), at(10)], [0.2, 0.1, 0.0])


def test_the_memory_is_reset_where_an_episode_begins_and_nowhere_else():
    hparams = ppo.PPOHParams(num_envs=4, rollout_length=64).override(memory="gru", memory_units=8, sequence_length=8)
    _, _, actors, (trajectory, _) = rolled_out(ENV, hparams, 64)
    memory = tf.concat([trajectory.extras["recurrent_state"], actors.actor[tf.newaxis]], axis=0).numpy()
    is_zero = np.all(memory == 0, axis=-1)
    expected = np.concatenate([np.ones((1, 4), bool), trajectory.is_last.numpy()])
    np.testing.assert_array_equal(is_zero, expected)


def test_values_of_truncated_steps_remember_the_episode():
    # The successor of a cut step is valued with the memory after the step, not with the next episode's.
    hparams = ppo.PPOHParams(num_envs=2, rollout_length=4, num_epochs=1, num_minibatches=1).override(
        memory="lstm", memory_units=8, sequence_length=4, gae_lambda=1.0, anneal_learning_rate=False
    )
    agent, state, _, (trajectory, _) = rolled_out(ENV, hparams, 4)
    cut = trajectory._replace(truncated=tf.constant([[False] * 2, [True] * 2, [False] * 2, [False] * 2]))
    _, unchanged = agent.update(state, trajectory, random.key(1))
    _, changed = agent.update(state, cut, random.key(1))
    assert unchanged["value_loss"] != changed["value_loss"]


def test_sequences_stay_whole_in_minibatches():
    steps = tf.reshape(tf.range(12 * 2), [12, 2, 1])
    sequences = learning.in_sequences(steps, 4).numpy()[..., 0]
    assert sequences.shape == (4, 6)
    for column in sequences.T:
        np.testing.assert_array_equal(np.diff(column), [2, 2, 2])
    assert sorted(sequences.ravel()) == list(range(24))


def test_box_actions_stay_inside_and_probabilities_are_those_of_the_draw():
    hparams = ppo.PPOHParams(num_envs=16, rollout_length=16)
    _, _, _, (trajectory, _) = rolled_out(PENDULUM, hparams, 16)
    space = PENDULUM.spec.action_space
    action, draw = trajectory.action.numpy(), trajectory.extras["raw_action"].numpy()
    assert np.abs(draw).max() > 1.0
    np.testing.assert_allclose(action, (2 * draw).clip(space.low, space.high), rtol=1e-6)  # the torque is within 2


def test_observations_and_rewards_are_normalised_by_moments_of_the_state():
    hparams = ppo.PPOHParams(num_envs=8, rollout_length=32).override(
        normalize_observations=True, normalize_rewards=True
    )
    agent, state, _, (trajectory, _) = rolled_out(PENDULUM, hparams, 32)
    after, _ = tf.function(agent.update, jit_compile=True)(state, trajectory, random.key(1))
    seen = trajectory.observation.numpy().reshape(-1, 3)
    np.testing.assert_allclose(after.policy.observations.mean, seen.mean(0), rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(after.policy.observations.variance, seen.var(0), rtol=1e-3)
    assert after.rewards.moments.count == 8 * 32
    # Acting uses them: other moments, other actions.
    observation = trajectory.observation[0]
    mixed = after.policy._replace(observations=state.policy.observations)
    one, other = (agent.act(policy, (), observation, random.key(1), "eval").action for policy in (after.policy, mixed))
    assert np.any(one != other)


def test_impossible_sequences_are_refused():
    with pytest.raises(ValueError, match="sequence_length is 3, expected a divisor of rollout_length = 8"):
        ppo.PPOHParams(rollout_length=8).override(sequence_length=3)
    with pytest.raises(ValueError, match="num_minibatches is 5, expected a divisor of the number of sequences = 16"):
        ppo.PPOHParams(rollout_length=8, num_envs=8, num_minibatches=4).override(sequence_length=4, num_minibatches=5)
    with pytest.raises(ValueError, match="memory is 'rnn', expected one of none, gru, lstm"):
        ppo.PPOHParams().override(memory="rnn")
