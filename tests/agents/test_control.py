"""What agents of continuous control share: noise, critics, encoders; and the effects that their papers promise."""

import numpy as np
import pytest
import tensorflow as tf
from gymnasium import spaces
from scipy import stats

from rl_fn import envs, learning, loops, networks, policies, random, sets, struct
from rl_fn.agents import crossq, d4pg, ddpg, droq, mpo, redq, sac, td3, tqc

KEY = random.key(0)
SMALL = {"train_steps": 400, "learning_starts": 16, "batch_size": 8, "num_envs": 2, "hidden_sizes": (8,)}
PENDULUM = envs.make("Pendulum-v1")
WIDE = spaces.Box(np.array([-1.0, 0.0, 5.0, -5e3], np.float32), np.array([3.0, 0.5, 5.01, 5e3], np.float32))
OBSERVATIONS = random.normal(random.key(1), [500, 3])


def learners(agent, env, *iterations):
    """Of a run, after so many iterations each."""
    compiled = loops.compile(loops.train_step(agent, env), loops.init_state(agent, env, KEY))
    seen = []
    for count in iterations:
        compiled.run(count)
        seen.append(compiled.read(lambda state: state.agent.learner))
    return seen


def changed(before, after):
    pairs = zip(tf.nest.flatten(before), tf.nest.flatten(after), strict=True)
    return [bool(np.any(old != new)) for old, new in pairs]


@pytest.mark.parametrize("name", ["crossq", "ddpg", "mpo", "sac", "td3"])
def test_actions_reach_all_of_a_box_of_any_widths_and_have_no_noise_in_evaluation(name):
    more = {"exploration_noise": 1.0} if name in ("ddpg", "td3") else {}
    spec = struct.EnvSpec("box", spaces.Box(-1, 1, (3,)), WIDE)
    agent = sets.agent_module(name).make(spec, sets.make(sets.SETS[name], **SMALL, **more))
    policy, actors = agent.init(KEY).policy, agent.init_actor(500)
    for num_updates in (0, 1_000):  # at random, and by the policy with noise
        policy = policy._replace(num_updates=tf.constant(num_updates))
        action = agent.act(policy, actors, OBSERVATIONS, random.key(2), "train").action.numpy()
        assert np.all((action >= WIDE.low) & (action <= WIDE.high))
        assert np.all(np.ptp(action, axis=0) > 0.8 * (WIDE.high - WIDE.low))
    greedy = agent.act(policy, actors, OBSERVATIONS, random.key(2), "eval")
    again = agent.act(policy, actors + 0.7 if more else actors, OBSERVATIONS, random.key(3), "eval")
    np.testing.assert_array_equal(greedy.action, again.action)


@pytest.mark.parametrize("name", ["crossq", "d4pg", "ddpg", "droq", "mpo", "redq", "td3", "tqc"])
def test_a_box_without_a_bound_is_refused_with_the_reason(name):
    partly = spaces.Box(np.float32([-1, -np.inf]), np.float32([1, 2]))
    with pytest.raises(ValueError, match=rf"^{name} needs a .*Box .*finite bounds, box has Box"):
        sets.agent_module(name).make(struct.EnvSpec("box", spaces.Box(-1, 1, (3,)), partly), sets.make(sets.SETS[name]))


def test_noise_belongs_to_each_actor_and_begins_anew_with_the_episode():
    env = envs.make("ConstantReward-truncated", action_space=spaces.Box(-1, 1, (1,)))
    hparams = ddpg.DDPGHParams(**SMALL, noise_damping=0.01, exploration_noise=0.05)
    agent = ddpg.make(env.spec, hparams)
    policy = agent.init(KEY).policy._replace(num_updates=tf.constant(10_000))
    actors = loops.init_actors(agent, env, 200, KEY)
    noise = []
    for step in range(10):  # as long as an episode
        actors, (trajectory, _) = loops.rollout(agent, env, policy, actors, random.key(step), length=1)
        noise.append(trajectory.action[0, :, 0].numpy())
        after = actors.actor.numpy()
        assert np.all(after == 0) == (step == 9)
    noise = np.array(noise) - np.array(noise).mean()
    assert abs(np.corrcoef(noise[7], noise[8])[0, 1]) > 0.8  # it wanders
    assert noise[0].std() < 0.5 * noise[8].std()
    assert len(np.unique(noise[8])) == 200


@pytest.mark.parametrize("damping", [1.0, 0.1])
@pytest.mark.parametrize("name", ["crossq", "mpo", "sac", "tqc"])
def test_draws_of_a_policy_follow_on_one_another_as_far_as_noise_damping_says(name, damping):
    hparams = sets.make(sets.SETS[name], **SMALL, noise_damping=damping)
    agent = sets.agent_module(name).make(PENDULUM.spec, hparams)
    policy, actors = agent.init(KEY).policy._replace(num_updates=tf.constant(10_000)), agent.init_actor(2_000)
    observation = tf.zeros([2_000, 3])
    actions = []
    for step in range(60):
        taken = agent.act(policy, actors, observation, random.key(step), "train")
        actors = taken.actor_state
        actions.append(taken.action.numpy()[:, 0])
    assert abs(stats.spearmanr(actions[-2], actions[-1])[0] - (1 - damping)) < 0.08
    if damping < 1:
        assert abs(np.std(actors) - 1) < 0.05
        assert stats.spearmanr(actors[:, 0], actions[-1])[0] > 0.999  # the larger the draw, the larger the action
    else:
        assert actors == ()


def test_discrete_actions_have_no_such_noise():
    env = envs.make("CartPole-v1")
    agent = sac.make(env.spec, sac.SACHParams(**SMALL, noise_damping=0.1))
    assert agent.init_actor(5) == ()


def test_actions_are_uniform_until_learning_starts_and_never_again():
    hparams = td3.TD3HParams(num_envs=2, rollout_length=4, learning_starts=16, hidden_sizes=(8,))
    action = tf.constant([[1.5], [-1.5]])
    at = lambda updates: learning.OffPolicyPolicy((), tf.constant(updates))
    chosen = lambda updates: hparams.uniform_at_first(random.key(0), PENDULUM.spec, at(updates), action).numpy()
    assert np.all(chosen(1) != action)
    for updates in (2, 2**30 - 1, 2**31 - 1):  # up to 2**34 steps
        np.testing.assert_array_equal(chosen(updates), action)


def test_gaussian_noise_does_not_remember():
    agent = ddpg.make(PENDULUM.spec, ddpg.DDPGHParams(**SMALL, exploration_noise=0.1))
    policy = agent.init(KEY).policy._replace(num_updates=tf.constant(10_000))
    first = agent.act(policy, agent.init_actor(500), OBSERVATIONS, random.key(2), "train")
    after = agent.act(policy, first.actor_state, OBSERVATIONS, random.key(3), "train").actor_state.numpy()
    np.testing.assert_allclose(after.std(), 0.1, rtol=0.1)
    assert abs(np.corrcoef(first.actor_state[:, 0], after[:, 0])[0, 1]) < 0.15


def test_discrete_actions_of_ddpg_are_drawn_in_training_and_the_likeliest_in_evaluation():
    env = envs.make("CartPole-v1")
    agent = ddpg.make(env.spec, ddpg.DDPGHParams(**SMALL))
    policy = agent.init(KEY).policy._replace(num_updates=tf.constant(10_000))
    observations = tf.tile(random.normal(KEY, [1, 4]), [4_000, 1])
    acted = {mode: agent.act(policy, agent.init_actor(4_000), observations, KEY, mode) for mode in ("train", "eval")}
    logits = networks.mlp((8, 2)).apply(policy.params[0], observations[:1])
    share = tf.nn.softmax(logits)[0, 1].numpy()
    assert stats.binomtest(int(acted["train"].action.numpy().sum()), 4_000, share).pvalue > 1e-3
    np.testing.assert_array_equal(acted["eval"].action, int(share > 0.5))


def test_only_images_are_shifted_and_noise_always_returns_to_zero():
    with pytest.raises(ValueError, match="random_shift is 2, expected 0 where observations are not images"):
        sac.make(PENDULUM.spec, sac.SACHParams(**SMALL, random_shift=2))
    with pytest.raises(ValueError, match=r"noise_damping is 0\.0, expected a number greater than 0"):
        ddpg.DDPGHParams(**SMALL, noise_damping=0.0)


@pytest.mark.parametrize(("name", "env"), [("sac", "CartPole-v1"), ("redq", "CartPole-v1"), ("crossq", "Pendulum-v1")])
def test_an_entropy_that_no_policy_has_is_refused(name, env):
    scale = {"CartPole-v1": 2.0, "Pendulum-v1": -1.0}[env]  # all of log 2 nats for two actions, one nat on an axis
    agent = sets.agent_module(name)
    hparams = sets.hparams_struct(name)(target_entropy_scale=scale)
    with pytest.raises(ValueError, match=f"target_entropy_scale is {scale:g}, expected a number in"):
        agent.make(envs.make(env).spec, hparams)


def test_the_critic_of_discrete_actions_is_linear_in_them():
    policy = learning.direct_policy("any", envs.make("CartPole-v1").spec, 1.0)
    critic = learning.action_critic(policy, lambda size: networks.mlp((8, size)), num_features=3)
    params, features = critic.init(KEY, None), OBSERVATIONS[:5]
    first, second = (critic.apply(params, features, tf.one_hot([action] * 5, 2)) for action in (0, 1))
    mixed = critic.apply(params, features, tf.fill([5, 2], 0.5))
    np.testing.assert_allclose(mixed, (first + second) / 2, rtol=1e-5)
    assert np.all(first != second)


def test_the_gradient_of_d4pgs_discrete_policy_is_made_of_the_values_of_actions():
    policy = learning.direct_policy("any", envs.make("CartPole-v1").spec, 1.0)
    logits = tf.constant([[5.0, 5.0, -20.0], [10.0, 0.0, 12.0]])  # of the atoms 0, 1 and 2, for each action
    network = networks.Network(lambda key, spec: (), lambda params, features: tf.reshape(logits, [1, 6]))
    critic = learning.action_critic(policy, lambda size: network, num_features=3, num_outputs=3)
    value_of = lambda outputs: d4pg.value_of(outputs, tf.constant([0.0, 1.0, 2.0]))
    vector = tf.constant([[0.9, 0.1]])
    with tf.GradientTape() as tape:
        tape.watch(vector)
        value = critic.value((), OBSERVATIONS[:1], vector, value_of)
    values = [0.5, 2 / (1 + np.exp(-2))]
    np.testing.assert_allclose(tape.gradient(value, vector), [values], rtol=1e-4)
    np.testing.assert_allclose(value, [np.dot(values, [0.9, 0.1])], rtol=1e-4)
    np.testing.assert_array_equal(critic.apply((), OBSERVATIONS[:1], tf.one_hot([1], 2)), logits[1:])


def test_the_policy_of_ddpg_and_its_targets_move_with_every_step_by_the_step_size():
    agent = ddpg.make(PENDULUM.spec, ddpg.DDPGHParams(**SMALL, target_step_size=0.25))
    before, after = learners(agent, PENDULUM, 12, 1)
    assert all(changed(before.actor.params, after.actor.params))
    learned = after.actor.params, after.critic.params
    for old, new, target in zip(
        *map(tf.nest.flatten, (before.target_params, learned, after.target_params)), strict=True
    ):
        np.testing.assert_allclose(target, 0.75 * old + 0.25 * new, rtol=1e-5, atol=1e-7)


def test_redq_moves_its_policy_once_per_many_steps_of_its_critics():
    hparams = redq.REDQHParams(**SMALL, num_critics=3, gradient_steps=2, policy_delay=4)
    before, after, later = learners(redq.make(PENDULUM.spec, hparams), PENDULUM, 8, 1, 1)
    assert int(after.gradient_steps) == int(before.gradient_steps) + 2
    moved = [changed(*pair) for pair in ((before.actor, after.actor), (after.actor, later.actor))]
    assert sorted(any(each) for each in moved) == [False, True]
    assert all(changed(before.critics.params, after.critics.params))


def test_critics_of_droq_drop_units_of_their_own_and_all_stay_without_a_rate():
    inputs, spec = tf.ones([4, 3]), tf.TensorSpec([3], tf.float32)
    for rate, differs in ((0.5, True), (0.0, False)):
        critics = droq.DroQHParams(hidden_sizes=(64,), dropout_rate=rate).make_critics(1)
        params = critics.init(KEY, spec)
        params["critic_1"] = params["critic_0"]
        one, other = (critics.apply(params, inputs, random.key(seed)).numpy() for seed in (1, 2))
        assert np.any(one != other) == differs
        assert np.any(one[:, 0] != one[:, 1]) == differs
        assert np.any(one[0] != one[1]) == differs


def test_batch_norm_uses_the_batch_to_learn_and_what_it_remembers_to_act():
    network = networks.batch_norm_mlp((1,), momentum=0.75, epsilon=0.0)
    params = network.init(KEY, tf.TensorSpec([1], tf.float32))
    params["layers"]["layer_0"]["kernel"] = tf.constant([[1.0]])
    outputs, statistics = network.train(params, tf.constant([[1.0], [5.0]]))
    np.testing.assert_allclose(outputs, [[-1], [1]], rtol=1e-6)
    np.testing.assert_allclose(statistics["norm_0"]["mean"], [0.25 * 3])
    np.testing.assert_allclose(statistics["norm_0"]["variance"], [0.75 + 0.25 * 4])
    remembered = {**params, "statistics": statistics}
    np.testing.assert_allclose(network.apply(remembered, [[5.0]]), [[(5 - 0.75) / 1.75**0.5]], rtol=1e-6)


def test_crossq_remembers_statistics_has_no_targets_and_delays_its_policy():
    agent = crossq.make(PENDULUM.spec, crossq.CrossQHParams(**SMALL, critic_sizes=(8,)))
    assert not hasattr(agent.init(KEY).learner, "target_params")
    before, *after = learners(agent, PENDULUM, 12, 1, 1, 1)
    statistics = lambda learner: [part["statistics"] for part in learner.critics.params["values"].values()]
    assert all(changed(statistics(before), statistics(after[-1])))
    pairs = zip([before, *after], after, strict=False)
    assert [any(changed(old.actor, new.actor)) for old, new in pairs].count(True) == 1


def test_quantiles_of_tqc_are_of_no_fewer_than_are_dropped():
    with pytest.raises(ValueError, match="num_dropped is 5, expected less than num_quantiles = 5"):
        tqc.TQCHParams(num_quantiles=5, num_dropped=5)
    with pytest.raises(ValueError, match="num_targets is 3, expected at most num_critics = 2"):
        redq.REDQHParams(num_critics=2, num_targets=3)


def test_the_density_of_a_squashed_policy_integrates_to_one_over_the_box_and_is_exact_far_out():
    squashed = learning.squashed_policy(spaces.Box(-1, 1, (1,)))
    pre_tanh = np.linspace(-12, 12, 20_001, dtype=np.float32)
    distribution = squashed.distribution(tf.constant([[0.8, np.log(2.5)]]))
    log_prob = (
        policies.squashed_log_prob(distribution, pre_tanh[:, np.newaxis, np.newaxis])[:, 0].numpy().astype(np.float64)
    )
    log_slope = 2 * (np.log(2) - pre_tanh - np.logaddexp(0, -2.0 * pre_tanh))  # of the action by pre_tanh
    np.testing.assert_allclose(np.trapezoid(np.exp(log_prob + log_slope), pre_tanh), 1.0, atol=1e-3)
    for index in (0, -1):  # |pre_tanh| = 12, where tanh is 1 in float32
        exact = stats.norm(0.8, 2.5).logpdf(pre_tanh[index]) - log_slope[index]
        np.testing.assert_allclose(log_prob[index], exact, rtol=1e-5)


def test_the_multipliers_of_mpo_rise_above_their_bounds_and_fall_below():
    old = mpo.Gaussian(tf.zeros([1, 1]), tf.ones([1, 1]))
    duals = mpo.Duals(tf.constant(1.0), tf.constant([1.0]), tf.constant([1.0]))
    for bound, sign in ((1e-3, -1.0), (10.0, 1.0)):
        new = mpo.Gaussian(tf.constant([[0.5]]), tf.constant([[1.5]]))
        hparams = mpo.MPOHParams(epsilon_mean=bound, epsilon_stddev=bound)
        with tf.GradientTape() as tape:
            tape.watch(duals)
            parts = mpo.actor_loss(old, new, tf.zeros([2, 1, 1]), tf.zeros([1, 2]), duals, hparams)
            total = tf.reduce_sum(parts.alpha_loss)
        gradient = tape.gradient(total, duals)
        np.testing.assert_array_equal(np.sign([gradient.mean, gradient.stddev]), [[sign], [sign]])


def test_the_duals_of_mpo_begin_where_they_are_told_to_stay_positive_and_rise_no_faster_than_what_is_learned():
    hparams = mpo.MPOHParams(**SMALL, initial_temperature=0.5, initial_multiplier=1_000.0)
    learned = mpo.make(PENDULUM.spec, hparams).init(KEY).learner.actor.params["duals"]
    duals = mpo.positive(learned)
    np.testing.assert_allclose(duals.temperature, 0.5, rtol=1e-5)
    np.testing.assert_allclose([duals.mean, duals.stddev], [[1_000.0]] * 2, rtol=1e-5)
    up, down = (mpo.positive(tf.nest.map_structure(lambda leaf, by=by: leaf + by, learned)) for by in (200.0, -2_000.0))
    np.testing.assert_allclose(up.mean, [1_200.0], rtol=1e-5)
    assert min(down.temperature, down.mean[0], down.stddev[0]) > 0


def test_the_policy_of_mpo_stays_within_its_bounds_of_the_target():
    env = envs.make("QuadraticReward")
    hparams = mpo.MPOHParams(**{**SMALL, "batch_size": 32}, epsilon_mean=1e-3, target_period=20, num_samples=10)
    agent = mpo.make(env.spec, hparams)
    means = []
    for learner in learners(agent, env, 60, *[20] * 5):
        outputs = [
            networks.mlp((8, 4)).apply(params, tf.ones([1, 1]))
            for params in (learner.target_params[0], learner.actor.params["policy"])
        ]
        old, new = (
            mpo.Gaussian(mean, 0.05 + 0.45 * tf.nn.softplus(raw) / np.log(2))
            for mean, raw in (tf.split(each, 2, axis=-1) for each in outputs)
        )
        means.append(0.5 * np.square((new.mean - old.mean) / old.stddev).mean())
    assert np.median(means) < 10 * 1e-3
    assert max(means) > 0


def test_images_are_shifted_with_their_edges_repeated():
    image = np.arange(5 * 6, dtype=np.uint8).reshape(1, 5, 6, 1)
    images = np.repeat(image, 200, axis=0)
    shifted = learning.random_shift(KEY, images, 1).numpy()
    assert shifted.dtype == np.uint8
    padded = np.pad(image[0], [(1, 1), (1, 1), (0, 0)], mode="edge")
    possible = {padded[y : y + 5, x : x + 6].tobytes() for y in range(3) for x in range(3)}
    assert {each.tobytes() for each in shifted} == possible
    np.testing.assert_array_equal(learning.random_shift(KEY, images, 0), images)
    with pytest.raises(ValueError, match=r"random_shift: images have shape \(5, 6\), expected \[N, H, W, C\]"):
        learning.random_shift(KEY, image[0, :, :, 0], 1)


def test_an_encoder_that_the_critic_trains_reads_images_for_the_policy():
    env = envs.make("MinAtar/Breakout-v1")
    hparams = ddpg.DDPGHParams(**SMALL, encoder="minatar", random_shift=1)
    before, after = learners(ddpg.make(env.spec, hparams), env, 12, 3)
    assert all(changed(before.actor_params[1], after.actor_params[1]))
    assert not any(changed(after.actor_params[1], after.critic.params["encoder"]))


def test_large_errors_are_replayed_more_often_over_several_steps_by_a_line():
    agent = td3.make(PENDULUM.spec, td3.TD3HParams(**SMALL, prioritized=True, n_step=3))
    compiled = loops.compile(loops.train_step(agent, PENDULUM), loops.init_state(agent, PENDULUM, KEY))
    compiled.run(20)
    weights = compiled.read(lambda state: state.agent.replay).weights[0]
    assert len(np.unique(weights[weights > 0])) > 5
