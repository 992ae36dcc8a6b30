"""That each component of the agents that learn action values has its effect."""

import time
from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow as tf
from gymnasium import spaces

from rl_fn import envs, learning, networks, optimizers, random, replay, struct
from rl_fn.agents import bootstrapped, dqn, iqn

SPEC = envs.make("CartPole-v1").spec
SMALL = {"num_envs": 4, "hidden_sizes": (8,), "learning_starts": 16, "batch_size": 4, "replay_capacity": 64}
OBSERVATIONS = random.normal(random.key(3), [200, 4])


def hparams(**values):
    return dqn.DQNHParams().override(**SMALL).override(**values)


def actions(agent, policy, key, mode="train"):
    return agent.act(policy, agent.init_actor(200), OBSERVATIONS, random.key(key), mode).action.numpy()


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        # 1,000 steps in rollouts of 4 x 1, and exploration ends after the first half of these 250 updates.
        ("linear", {0: 1.0, 25: 0.802, 125: 0.01, 200: 0.01}),
        ("exponential", {0: 1.0, 25: 0.01**0.2, 125: 0.01, 200: 0.01}),
        ("per_actor", {0: [1.0, 0.01 ** (1 / 3), 0.01 ** (2 / 3), 0.01], 200: [1.0, 0.2154, 0.0464, 0.01]}),
    ],
)
def test_epsilon_follows_its_schedule(schedule, expected):
    values = hparams(
        epsilon_schedule=schedule, epsilon_final=0.01, train_steps=1_000, rollout_length=1, exploration_fraction=0.5
    )
    for num_updates, epsilon in expected.items():
        np.testing.assert_allclose(values.epsilon(tf.constant(num_updates), 4), epsilon, rtol=1e-3)


def test_the_epsilon_that_is_reported_is_that_of_the_policy_that_acted():
    values = hparams(train_steps=800, rollout_length=1, exploration_fraction=0.5, epsilon_final=0.0, actor_lag=20)
    state = lambda updates: SimpleNamespace(num_updates=tf.constant(updates))
    reported = [values.report_epsilon(state(updates))["epsilon"] for updates in (0, 10, 70)]
    np.testing.assert_allclose(reported, [1.0, 1.0, 0.5])


def test_the_constants_of_ape_x():
    values = hparams(epsilon_schedule="per_actor", epsilon_initial=0.4, epsilon_final=0.4**8)
    expected = [0.4 ** (1 + 7 * actor / 9) for actor in range(10)]
    np.testing.assert_allclose(values.epsilon(tf.constant(7), 10), expected, rtol=1e-4)


def test_actors_explore_by_the_epsilon_of_the_moment_and_not_in_evaluation():
    agent = dqn.make(SPEC, hparams(epsilon_final=0.0, train_steps=800, rollout_length=1, exploration_fraction=0.5))
    policy = agent.init(random.key(0)).policy
    best = actions(agent, policy, 1, "eval")
    share = lambda updates: np.mean(actions(agent, policy._replace(num_updates=tf.constant(updates)), 1) != best)
    assert 0.4 < share(0) < 0.6  # half of the random ones
    assert 0.15 < share(50) < 0.35
    assert share(100) == share(150) == 0
    np.testing.assert_array_equal(actions(agent, policy, 2, "eval"), best)


def test_each_actor_has_its_epsilon():
    agent = dqn.make(SPEC, hparams(epsilon_schedule="per_actor", epsilon_initial=1.0, epsilon_final=0.0))
    policy = agent.init(random.key(0)).policy
    best = actions(agent, policy, 1, "eval")
    explored = np.mean([actions(agent, policy, key) != best for key in range(10)], axis=0)
    assert 0.2 < explored[:20].mean() < 0.4  # half of epsilons between 1 and 1/4
    assert not explored[-80:].any()  # below 4e-3 in a hundred


@pytest.mark.parametrize("kind", networks.NOISES)
def test_noise_is_drawn_anew_for_each_step_and_each_network_and_there_is_none_in_evaluation(kind):
    values = hparams(noise=kind, noise_deviation=0.5, epsilon_initial=0.0, epsilon_final=0.0)
    agent = dqn.make(SPEC, values)
    policy = agent.init(random.key(0)).policy
    first, again, other = (actions(agent, policy, key) for key in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert np.any(first != other)
    np.testing.assert_array_equal(actions(agent, policy, 1, "eval"), actions(agent, policy, 2, "eval"))

    keys = []

    def q_values(params, observation, key):
        keys.append(tuple(key.numpy()))
        return network.apply(params, observation, key)

    network = values.make_network(SPEC, 2)
    params = network.init(random.key(0))
    items = replay.NStepTransition(
        OBSERVATIONS, tf.zeros([200], tf.int32), tf.ones([200]), tf.ones([200]), OBSERVATIONS, extras={}
    )
    sample = replay.Sample(items, tf.range(200), tf.ones([200]))
    gradient = struct.value_and_gradient(
        lambda params: dqn.loss(q_values, params, params, sample, random.key(1), values), params
    )[1]
    assert len(set(keys)) == 3  # online, target, and the online one that chooses
    assert all(np.any(leaf != 0) for leaf in tf.nest.flatten(gradient["deviation"]))


def test_dueling_heads_have_a_value_of_their_own():
    network = hparams(dueling=True).make_network(SPEC, 2)
    params = network.init(random.key(0))
    q = network.apply(params, OBSERVATIONS)
    params["value"]["layer_0"]["bias"] += 5.0
    np.testing.assert_allclose(network.apply(params, OBSERVATIONS), q + 5, rtol=1e-4, atol=1e-4)
    params["advantage"]["layer_0"]["bias"] += 7.0  # what all advantages share counts for nothing
    np.testing.assert_allclose(network.apply(params, OBSERVATIONS), q + 5, rtol=1e-4, atol=1e-4)


def trajectory(length, num_envs=4, **extras):
    return struct.Transition(
        observation=random.normal(random.key(0), [length, num_envs, 4]),
        action=tf.zeros([length, num_envs], tf.int32),
        reward=tf.ones([length, num_envs]),
        terminated=tf.zeros([length, num_envs], tf.bool),
        truncated=tf.zeros([length, num_envs], tf.bool),
        next_observation=random.normal(random.key(1), [length, num_envs, 4]),
        extras=extras,
    )


@pytest.mark.parametrize("n", [1, 3])
def test_targets_over_several_steps_discount_by_gamma_to_that_power(n):
    buffer = hparams(n_step=n, gamma=0.5).make_replay(SPEC)
    items = buffer.sample(buffer.add(buffer.init(), trajectory(6)), random.key(0), 8).items
    np.testing.assert_allclose(items.discount, [0.5**n] * 8)
    np.testing.assert_allclose(items.reward, [sum(0.5**k for k in range(n))] * 8)


def test_transitions_are_replayed_by_their_errors_only_where_that_is_asked_for():
    for prioritized in (False, True):
        buffer = hparams(prioritized=prioritized, priority_exponent=1.0).make_replay(SPEC)
        state = buffer.add(buffer.init(), trajectory(4))
        state = buffer.update(state, tf.range(16), tf.constant([1.0] + [1e-3] * 15))
        sample = buffer.sample(state, random.key(0), 100, 0.5)
        share = np.mean(sample.slots.numpy() == 0)
        assert (share > 0.9) == prioritized
        assert (np.ptp(sample.weights) > 0) == prioritized


def test_stacked_frames_are_kept_once_and_read_as_they_were():
    values = hparams(stacked_frames=True, n_step=1, num_envs=1, replay_capacity=100)
    space = spaces.Box(0, 255, (3, 3, 2), np.uint8)
    buffer = values.make_replay(struct.EnvSpec("Frames", space, spaces.Discrete(2)))
    frames = np.arange(9 * 9, dtype=np.uint8).reshape(9, 3, 3)
    stacks = np.stack([frames[[0, *range(8)]], frames], axis=-1)[:, np.newaxis]  # the first frame fills its stack
    flags = tf.zeros([8, 1], tf.bool)
    steps = struct.Transition(
        tf.constant(stacks[:8]), tf.zeros([8, 1], tf.int32), tf.ones([8, 1]), flags, flags, tf.constant(stacks[1:]), {}
    )
    state = buffer.add(buffer.init(), steps)
    assert state.frames.shape == [101, 3, 3]
    sample = buffer.sample(state, random.key(0), 20)
    np.testing.assert_array_equal(sample.items.observation, stacks[sample.slots.numpy(), 0])
    np.testing.assert_array_equal(sample.items.next_observation, stacks[sample.slots.numpy() + 1, 0])


@pytest.mark.parametrize("length", [1, 2, 1_000])
def test_learning_starts_with_stacked_frames_however_short_episodes_are(length):
    values = hparams(stacked_frames=True, n_step=2, num_envs=2, rollout_length=3, learning_starts=20)
    spec = struct.EnvSpec("Frames", spaces.Box(0, 255, (1, 1, 4), np.uint8), spaces.Discrete(2))
    with pytest.raises(ValueError, match="replay_capacity is 74, expected at least 76 with stacked_frames"):
        values.override(replay_capacity=74).make_replay(spec)
    buffer = values.override(replay_capacity=76).make_replay(spec)
    add = tf.function(buffer.add, jit_compile=True)
    state, frames = buffer.init(), tf.zeros([3, 2, 1, 1, 4], tf.uint8)
    for rollout in range(30):
        ends = np.arange(3 * rollout, 3 * rollout + 3) % length == length - 1
        ended = tf.constant(np.stack([ends, ends], axis=1))
        zeros = tf.zeros([3, 2], tf.int32)
        steps = struct.Transition(frames, zeros, tf.cast(zeros, tf.float32), ended, ended & False, frames, {})
        state = add(state, steps)
        assert rollout < 6 or buffer.is_ready(state, 20 - 2)


@pytest.mark.parametrize("step_size", [1.0, 0.25])
def test_the_target_lags_behind(step_size):
    values = hparams(target_period=3, target_step_size=step_size)
    step = learning.target_gradient_step(
        lambda params, *_: (params, learning.Learned({}, tf.zeros([1]))), optimizers.sgd(1.0), values.target_update
    )
    learner = learning.init_target_learner(tf.constant(8.0), optimizers.sgd(1.0))
    seen = []
    for _ in range(6):
        learner, _ = step(learner, None, random.key(0))
        seen.append(float(learner.target_params))
    assert float(learner.online.params) == 2.0
    first = 8 + step_size * (5 - 8)
    assert seen == [8, 8, first, first, first, first + step_size * (2 - first)]


def test_evaluation_of_implicit_quantiles_is_not_random():
    agent = iqn.make(SPEC, iqn.IQNHParams().override(**SMALL))
    policy = agent.init(random.key(0)).policy
    np.testing.assert_array_equal(actions(agent, policy, 1, "eval"), actions(agent, policy, 2, "eval"))


BOOTSTRAPPED = bootstrapped.BootstrappedHParams().override(**SMALL).override(num_heads=3, mask_probability=0.5)


@pytest.fixture(scope="module")
def ensemble():
    """A bootstrapped agent with its initial state, and `act(head, key) -> ActorStep` at all observations."""
    agent = bootstrapped.make(SPEC, BOOTSTRAPPED.override(gradient_steps=2))
    state = agent.init(random.key(0))
    act = tf.function(lambda head, key: agent.act(state.policy, head, OBSERVATIONS, key, "train"), jit_compile=True)
    return agent, state, act


def test_each_value_function_acts_for_whole_episodes(ensemble):
    agent, _, act = ensemble
    first = act(agent.init_actor(200), random.key(1))
    assert set(first.actor_state.numpy()) == {0, 1, 2}
    later = act(first.actor_state, random.key(2))
    np.testing.assert_array_equal(later.actor_state, first.actor_state)
    np.testing.assert_array_equal(later.action, first.action)  # which is the best by the same value function
    by = [act(tf.fill([200], head), random.key(1)).action.numpy() for head in range(3)]
    assert np.any(by[0] != by[1])
    np.testing.assert_array_equal(first.action, np.choose(first.actor_state, by))


def test_each_transition_is_stored_with_the_value_functions_that_see_it(ensemble):
    agent, _, act = ensemble
    mask = act(agent.init_actor(200), random.key(1)).extras["mask"].numpy()
    assert mask.shape == (200, 3)
    assert 0.4 < mask.mean() < 0.6
    assert len(np.unique(mask, axis=0)) == 8
    buffer = BOOTSTRAPPED.make_replay(SPEC)
    added = tf.reshape(tf.constant(mask[:16]), [4, 4, 3])
    sample = buffer.sample(buffer.add(buffer.init(), trajectory(4, mask=added)), random.key(0), 20)
    np.testing.assert_array_equal(sample.items.extras["mask"], mask[sample.slots.numpy()])


def test_priors_never_learn_and_are_part_of_the_values(ensemble):
    agent, state, _ = ensemble
    steps = trajectory(8, mask=tf.ones([8, 4, 3], tf.bool))
    after, _ = tf.function(agent.update)(state, steps, random.key(1))
    before, after = state.learner, after.learner
    for old, new in zip(*map(tf.nest.flatten, (before.prior_params, after.prior_params)), strict=True):
        np.testing.assert_array_equal(old, new)
    for old, new in zip(*map(tf.nest.flatten, (before.learner.online, after.learner.online)), strict=True):
        assert np.any(old != new)
    without = bootstrapped.make(SPEC, BOOTSTRAPPED.override(prior_scale=0.0))
    assert np.any(actions(agent, state.policy, 1, "eval") != actions(without, state.policy, 1, "eval"))


def test_an_ensemble_is_its_networks_side_by_side():
    network = networks.mlp((5, 2))
    spec = tf.TensorSpec([4], tf.float32)
    three = networks.ensemble(network, 3)
    params = three.init(random.key(0), spec)

    @tf.function
    def loss_of(params):
        return struct.value_and_gradient(
            lambda params: (tf.reduce_sum(three.apply(params, OBSERVATIONS) ** 2), ()), params
        )

    (value, _), gradient = loss_of(params)
    alone = [
        struct.value_and_gradient(
            lambda params: (tf.reduce_sum(network.apply(params, OBSERVATIONS) ** 2), ()), struct.at(params, index)
        )
        for index in range(3)
    ]
    np.testing.assert_allclose(value, sum(value for (value, _), _ in alone), rtol=1e-4)
    expected = struct.stack([gradient for _, gradient in alone])
    for leaf, part in zip(*map(tf.nest.flatten, (gradient, expected)), strict=True):
        np.testing.assert_allclose(leaf, part, rtol=1e-3, atol=1e-3)


def test_the_gradient_of_an_ensemble_reaches_its_inputs_and_is_compiled_once():
    network = networks.mlp((5, 2))
    three = networks.ensemble(network, 3)
    params = three.init(random.key(0), tf.TensorSpec([4], tf.float32))

    def sum_of(apply):
        return lambda inputs: (tf.reduce_sum(apply(inputs) ** 2), ())

    @tf.function(jit_compile=True, autograph=False)
    def gradients(params, inputs):
        of_params = struct.value_and_gradient(sum_of(lambda params: three.apply(params, inputs)), params)[1]
        return of_params, struct.value_and_gradient(sum_of(lambda inputs: three.apply(params, inputs)), inputs)[1]

    begin = time.perf_counter()
    gradients(params, OBSERVATIONS)
    first, begin = time.perf_counter() - begin, time.perf_counter()
    params = tf.nest.map_structure(lambda leaf: leaf + 1.0, params)
    _, found = gradients(params, OBSERVATIONS)
    assert time.perf_counter() - begin < 0.2 * first
    members = [struct.at(params, index) for index in range(3)]
    apart = [sum_of(lambda inputs, member=member: network.apply(member, inputs)) for member in members]
    expected = sum(struct.value_and_gradient(one, OBSERVATIONS)[1] for one in apart)
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-3)
