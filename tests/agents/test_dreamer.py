"""Dreamer: what it remembers, what it imagines, and what actor and critic learn from that."""

import numpy as np
import pytest
import tensorflow as tf
from gymnasium import spaces

from rl_fn import envs, learning, losses, networks, random, replay, sets, struct
from rl_fn.agents import dreamer
from rl_fn.learning import OffPolicyPolicy
from rl_fn.struct import EnvSpec, Transition

T, N = 6, 2
TINY = networks.ModelSize(
    units=8, blocks=2, width=8, classes=1, depth=2
)  # one class: nothing is random but the actions
RNG = np.random.default_rng(0)
SPECS = {name: envs.make(name).spec for name in ("CartPole-v1", "Pendulum-v1")}
VALUES = {"batch_size": N, "sequence_length": T, "horizon": 3, "num_bins": 9, "num_envs": N, "rollout_length": T}


@pytest.fixture(autouse=True)
def tiny(monkeypatch):
    monkeypatch.setitem(networks.MODEL_SIZES, "0.1m", TINY)


def made(env_name="CartPole-v1", **values):
    spec = SPECS[env_name]
    hparams = sets.make(sets.SETS["dreamer"], size="0.1m", **{**VALUES, **values})
    model, actor_critic = dreamer.make_networks(spec, hparams)
    params = {**model.init(random.key(0)), **actor_critic.init(random.key(1), model.rssm.num_features)}
    noise = lambda leaf: leaf + tf.constant(0.3 * RNG.normal(size=leaf.shape), tf.float32)
    return hparams, model, actor_critic, tf.nest.map_structure(noise, params)


def steps(terminated=(), truncated=()):
    """Steps of CartPole, each of which arrives where the next departs from, but at the ends of episodes."""
    observation, after = (tf.constant(RNG.normal(size=(T, N, 4)), tf.float32) for _ in range(2))
    flags = [np.zeros((T, N), bool) for _ in range(2)]
    for flag, times in zip(flags, (terminated, truncated), strict=True):
        flag[list(times), 0] = True
    ends = tf.constant((flags[0] | flags[1])[:-1, :, np.newaxis])
    next_observation = tf.concat([tf.where(ends, after[:-1], observation[1:]), after[-1:]], axis=0)
    action = tf.constant(RNG.integers(0, 2, (T, N)), tf.int32)
    reward = tf.constant(RNG.normal(size=(T, N)), tf.float32)
    return Transition(observation, action, reward, *map(tf.constant, flags), next_observation, {})


def changed(leaf, time):
    """The same but for one row."""
    return tf.tensor_scatter_nd_add(leaf, [[time]], tf.ones([1, *leaf.shape[1:]], leaf.dtype))


def rows_that_differ(one, other):
    """By departures, and by arrivals, of the first sequence."""
    pairs = zip((one.departures, one.arrivals), (other.departures, other.arrivals), strict=True)
    return [np.flatnonzero(np.any(np.abs(a.deter - b.deter) > 1e-6, axis=-1)[:, 0]).tolist() for a, b in pairs]


@pytest.mark.parametrize("end", ["terminated", "truncated"])
def test_an_episode_that_begins_inside_a_sequence_knows_nothing_of_the_one_before(end):
    _, model, _, params = made()
    given, start = steps(**{end: [2]}), tf.zeros([N, TINY.units])
    remember = lambda given, start: learning.remember(model, params, replay.Sequence(given, start), random.key(2))
    base = remember(given, start)
    # The state that was carried there, and the first action, are known up to the end of the episode.
    assert rows_that_differ(base, remember(given, start + 1.0)) == [[0, 1, 2], [0, 1, 2]]
    other_action = given._replace(action=tf.concat([1 - given.action[:1], given.action[1:]], axis=0))
    assert rows_that_differ(base, remember(other_action, start)) == [[1, 2], [0, 1, 2]]
    np.testing.assert_array_equal(base.begins[:, 0], [True, False, False, True, False, False])
    np.testing.assert_array_equal(base.departures.deter[3, 0], np.zeros(TINY.units))


def test_a_departure_is_where_the_step_before_arrived_unless_the_episode_ended():
    _, model, _, params = made()
    given = steps(truncated=[2])
    remembered = learning.remember(model, params, replay.Sequence(given, tf.ones([N, TINY.units])), random.key(2))
    same = np.all(remembered.departures.deter[1:] == remembered.arrivals.deter[:-1], axis=-1)
    np.testing.assert_array_equal(same[:, 0], [True, True, False, True, True])
    assert same[:, 1].all()


def test_the_last_step_of_an_episode_arrives_at_its_true_successor():
    _hparams, model, _, params = made()
    given, start = steps(terminated=[2]), tf.zeros([N, TINY.units])

    def divergences(given):
        remembered = learning.remember(model, params, replay.Sequence(given, start), random.key(2), 0.0)
        return remembered.divergences.kl[1, :, 0]

    # With more than one class, or what is seen would change nothing.
    model = model._replace(rssm=networks.rssm(8, blocks=2, hidden=8, latents=32, classes=2))
    params = {**params, "rssm": model.rssm.init(random.key(5), 2, model.observations.embedding_size)}
    other = divergences(given._replace(next_observation=changed(given.next_observation, 2)))
    assert np.flatnonzero(np.abs(divergences(given) - other) > 1e-6).tolist() == [2]


@pytest.mark.parametrize("env_name", ["CartPole-v1", "Pendulum-v1"])
def test_what_acting_carries_from_step_to_step_is_what_is_remembered_of_it(env_name):
    hparams, model, _, params = made(env_name)
    agent, spec = dreamer.make(SPECS[env_name], hparams), struct.space_spec(SPECS[env_name].observation_space)
    policy = OffPolicyPolicy({name: params[name] for name in ("encoder", "rssm", "actor")}, tf.constant(0))
    carried, rows = agent.init_actor(N), []
    observations = tf.constant(RNG.normal(size=(T + 1, N, *spec.shape)), tf.float32)
    ended = tf.constant([[t == 3, False] for t in range(T)])
    for t in range(T):
        acted = agent.act(policy, carried, observations[t], random.key(t), "train")
        rows.append((acted.action, acted.extras["deter"]))
        carried = struct.where(ended[t], agent.init_actor(N), acted.actor_state)
    action, deter = struct.stack(rows)
    given = Transition(observations[:-1], action, tf.zeros([T, N]), tf.zeros_like(ended), ended, observations[1:], {})
    remembered = learning.remember(model, params, replay.Sequence(given, deter[0]), random.key(9))
    np.testing.assert_allclose(remembered.departures.deter, deter, rtol=1e-4, atol=1e-5)
    assert np.abs(deter[-1]).max() > 0.01


def test_only_a_termination_is_an_end_and_rewards_belong_to_arrivals():
    _, model, _, params = made()
    given, start = steps(), tf.zeros([N, TINY.units])
    remembered = learning.remember(model, params, replay.Sequence(given, start), random.key(2))
    parts = lambda given: learning.world_model_loss(model, params, remembered, given)[1]
    ends = tf.constant(np.arange(T * N).reshape(T, N) == 5)
    logits = model.continues.apply(params["continues"], remembered.arrivals.features)[..., 0].numpy()
    costs = np.log1p(np.exp(-logits))  # of going on; the logit more where it did not
    np.testing.assert_allclose(parts(given)["continue_loss"], costs.mean(), rtol=1e-4)
    cut, done = (parts(given._replace(**{end: ends}))["continue_loss"] for end in ("truncated", "terminated"))
    np.testing.assert_allclose(cut, costs.mean(), rtol=1e-4)
    np.testing.assert_allclose(done, costs.mean() + logits.flat[5] / (T * N), rtol=1e-3)
    reward = model.reward.apply(params["reward"], remembered.arrivals.features)
    expected = tf.reduce_mean(losses.twohot_loss(reward, given.reward, model.bins))
    np.testing.assert_allclose(parts(given)["reward_loss"], expected, rtol=1e-5)


def test_imagination_follows_the_world_model_and_lets_no_gradient_out():
    _hparams, model, actor_critic, params = made("Pendulum-v1")
    deter, stoch = tf.constant(RNG.normal(size=(5, 8)), tf.float32), tf.ones([5, 32, 1])
    start = networks.Latent(deter, stoch)
    with tf.GradientTape() as tape:
        tape.watch(tf.nest.flatten(params))
        policy = lambda features: actor_critic.policy(params, features)
        imagined = learning.imagine(model, params, policy, start, random.key(0), 3)
        total = tf.reduce_sum(imagined.features) + tf.reduce_sum(imagined.reward) + tf.reduce_sum(imagined.continues)
    assert all(gradient is None for gradient in tape.gradient(total, tf.nest.flatten(params)))
    assert imagined.features.shape == (4, 5, 8 + 32)
    assert imagined.draws.shape == (3, 5, 1)
    for t in range(3):
        latent = networks.Latent(imagined.features[t, :, :8], stoch)
        action = tf.clip_by_value(imagined.draws[t], -1.0, 1.0)
        after = model.rssm.advance(params["rssm"], latent, action)
        np.testing.assert_allclose(imagined.features[t + 1, :, :8], after, rtol=1e-4, atol=1e-5)
    logits = model.reward.apply(params["reward"], imagined.features[1:])
    np.testing.assert_allclose(imagined.reward, losses.twohot_values(logits, model.bins), rtol=1e-4)


@pytest.mark.parametrize(("last", "moments"), [(1, [5]), (2, [4, 5]), (6, range(6)), (9, range(6))])
def test_imagination_begins_at_the_last_moments_of_each_sequence(last, moments):
    times = tf.broadcast_to(tf.range(T)[:, tf.newaxis, tf.newaxis], [T, N, 3])
    start = dreamer.beginnings(networks.Latent(times, times + 10), last)
    assert start.deter.shape == start.stoch.shape == (len(moments) * N, 3)
    np.testing.assert_array_equal(start.deter[:, 0], np.repeat(moments, N))
    np.testing.assert_array_equal(start.stoch, start.deter + 10)


def of_imagination(scale=1.0):
    hparams, _model, actor_critic, params = made(gamma=0.9)
    features = tf.constant(RNG.normal(size=(4, 5, 8 + 32)), tf.float32)
    draws = tf.constant(RNG.integers(0, 2, (3, 5)), tf.int32)
    reward = tf.constant(scale * RNG.normal(size=(3, 5)), tf.float32)
    imagined = learning.Imagined(features, draws, reward, tf.constant(RNG.random((3, 5)), tf.float32))
    slow = tf.nest.map_structure(lambda leaf: 0.9 * leaf, params["critic"])
    small = tf.nest.map_structure(lambda leaf: 0.02 * leaf, params["critic"])  # values of a few units
    params, bins = {**params, "critic": small}, losses.symexp_bins(9, 3.0)
    learner = dreamer.DreamerLearner(None, slow, tf.constant([-0.001, 0.002]), tf.constant(4))
    return hparams, actor_critic._replace(bins=tf.constant(bins)), params, learner, imagined


@pytest.mark.parametrize("scale", [0.01, 10.0])
def test_the_losses_of_actor_and_critic_are_their_definitions(scale):
    hparams, actor_critic, params, learner, imagined = of_imagination(scale)
    loss = dreamer.actor_critic_loss(actor_critic, params, learner, imagined, hparams)
    values_of = lambda p: losses.twohot_values(actor_critic.critic.apply(p, imagined.features), actor_critic.bins)
    values, slow = values_of(params["critic"]).numpy(), values_of(learner.slow_critic_params).numpy()
    discount = 0.9 * imagined.continues.numpy()
    goals, following = np.zeros((3, 5)), values[3]
    for t in reversed(range(3)):
        following = imagined.reward[t].numpy() + discount[t] * (0.05 * values[t + 1] + 0.95 * following)
        goals[t] = following
    np.testing.assert_allclose(loss.returns, goals, rtol=1e-4, atol=1e-5)
    ordered = np.sort(goals.ravel())
    running = 0.99 * np.array([-0.001, 0.002]) + 0.01 * ordered[[int(0.05 * 14), int(0.95 * 14)]]
    np.testing.assert_allclose(loss.return_range, running, rtol=1e-4, atol=1e-6)
    spread = (running[1] - running[0]) / (1 - 0.99**5)
    weights = np.stack([np.ones(5), discount[0], discount[0] * discount[1]])
    logits = networks.mix_uniform(actor_critic.actor.apply(params["actor"], imagined.features[:-1]), 0.01)
    log_probs = tf.nn.log_softmax(logits).numpy()
    taken = np.take_along_axis(log_probs, imagined.draws.numpy()[..., np.newaxis], -1)[..., 0]
    entropy = -np.sum(np.exp(log_probs) * log_probs, axis=-1)
    advantage = (goals - values[:3]) / max(1.0, spread)
    np.testing.assert_allclose(loss.actor, -np.mean(weights * (advantage * taken + 3e-4 * entropy)), rtol=1e-3)
    predicted = actor_critic.critic.apply(params["critic"], imagined.features[:-1])
    towards = lambda target: losses.twohot_loss(predicted, target.astype(np.float32), actor_critic.bins).numpy()
    np.testing.assert_allclose(loss.critic, np.mean(weights * (towards(goals) + towards(slow[:3]))), rtol=1e-3)
    assert (max(1.0, spread) > 1.0) == (scale > 1.0)


@pytest.mark.parametrize(("part", "learns"), [("actor", "actor"), ("critic", "critic")])
def test_actor_and_critic_learn_from_their_own_losses_only(part, learns):
    hparams, actor_critic, params, learner, imagined = of_imagination()
    with tf.GradientTape() as tape:
        tape.watch(tf.nest.flatten(params))
        loss = getattr(dreamer.actor_critic_loss(actor_critic, params, learner, imagined, hparams), part)
    gradients = tape.gradient(loss, params)
    with_gradient = {name for name in params if any(g is not None for g in tf.nest.flatten(gradients[name]))}
    assert with_gradient == {learns}


def test_what_is_imagined_and_lost_is_the_same_compiled():
    _hparams, model, actor_critic, params = made()
    given = steps(terminated=[1], truncated=[4])

    def forward(params, given):
        sequence = replay.Sequence(given, tf.ones([N, TINY.units]))
        remembered = learning.remember(model, params, sequence, random.key(2))
        start = tf.nest.map_structure(lambda leaf: leaf[0], remembered.departures)
        policy = lambda features: actor_critic.policy(params, features)
        return learning.world_model_loss(model, params, remembered, given), learning.imagine(
            model, params, policy, start, random.key(3), 2
        )

    eager = forward(params, given)
    compiled = tf.function(forward, jit_compile=True)(params, given)
    for one, other in zip(tf.nest.flatten(eager), tf.nest.flatten(compiled), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(
    ("size", "least", "most"),
    [("0.1m", 0.05e6, 0.15e6), ("0.5m", 0.35e6, 0.6e6), ("1m", 0.8e6, 1.2e6), ("4m", 3.5e6, 5e6)],
)
def test_sizes_are_what_their_names_say(size, least, most, monkeypatch):
    monkeypatch.undo()
    hparams = sets.make(sets.SETS["dreamer"], size=size)
    model, actor_critic = dreamer.make_networks(SPECS["CartPole-v1"], hparams)
    params = {**model.init(random.key(0)), **actor_critic.init(random.key(1), model.rssm.num_features)}
    assert least < sum(leaf.shape.num_elements() for leaf in tf.nest.flatten(params)) < most


def test_what_it_cannot_do_is_refused():
    spec = EnvSpec("Keys", spaces.Box(-1, 1, (2,)), spaces.MultiDiscrete([2, 3]))
    with pytest.raises(ValueError, match=r"needs a Discrete or a Box action space, not MultiDiscrete\(\[2 3\]\)"):
        dreamer.make(spec, sets.make(sets.SETS["dreamer"]))
    with pytest.raises(ValueError, match="n_step is 2, expected an integer at least 1 and at most 1"):
        sets.make(sets.SETS["dreamer"], n_step=2)
    with pytest.raises(ValueError, match="num_bins is 4, expected an odd number"):
        dreamer.make(SPECS["CartPole-v1"], sets.make(sets.SETS["dreamer"], num_bins=4))
