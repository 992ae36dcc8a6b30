"""Agents that learn from a data set: their losses by hand, and what they make of a few thousand steps."""

from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow as tf
from gymnasium import spaces

from rl_fn import loops, policies, random, replay, sets, struct
from rl_fn.agents import bc, cql, iql, sac, td3bc
from rl_fn.struct import EnvSpec, Transition

BOX = EnvSpec("box", spaces.Box(-1, 1, (2,), np.float32), spaces.Box(np.float32([-1]), np.float32([3])))
DISCRETE = EnvSpec("discrete", spaces.Box(-1, 1, (2,), np.float32), spaces.Discrete(3))
SMALL = {"hidden_sizes": (16,), "batch_size": 32, "gradient_steps": 20}
OFFLINE = {"awr": BOX, "bc": BOX, "cql": BOX, "iql": BOX, "td3bc": BOX}


def data(spec, num=512, seed=0):
    """Steps of one state each: half of the actions are good, which are near the first coordinate, the others bad."""
    rng = np.random.default_rng(seed)
    observation = rng.uniform(-1, 1, [num, 2]).astype(np.float32)
    good = rng.random(num) < 0.5
    if isinstance(spec.action_space, spaces.Discrete):
        best = np.where(observation[:, 0] > 0, 2, 0)
        action = np.where(good, best, 1).astype(np.int32)
    else:
        middle = 1 + observation[:, 0]  # of the Box from -1 to 3, by up to a half-width
        action = np.where(good, middle, rng.uniform(-1, 3, num))[:, np.newaxis].astype(np.float32)
    ends = np.ones(num, bool)
    following = np.roll(observation, -1, axis=0)
    return Transition(observation, action, good.astype(np.float32), ends, ~ends, following, {})


def made(name, spec, steps=None, **more):
    values = sets.make(sets.SETS[name], **{**SMALL, "train_steps": 1_000, **more})
    return sets.agent_module(name).make(spec, values, data=steps)


def trained(agent, iterations):
    compiled = loops.compile(loops.offline_step(agent), loops.init_offline_state(agent, random.key(0)))
    chunks = list(loops.train(compiled, iterations))
    return compiled.read(), chunks


@pytest.mark.parametrize("name", OFFLINE)
def test_agents_learn_without_a_step_of_an_environment(name):
    agent = made(name, OFFLINE[name], data(OFFLINE[name]))
    assert agent.schedule.is_offline
    assert agent.schedule.steps == 20  # gradient steps
    before = loops.init_offline_state(agent, random.key(0))
    after, chunks = trained(agent, 3)
    assert after.iteration == 3
    assert {"replay/size", "episode_return"} & set(chunks[-1].metrics) == {"replay/size"}
    assert chunks[-1].metrics["replay/size"] == 512
    assert all(np.all(np.isfinite(value)) for value in chunks[-1].metrics.values())
    pairs = zip(*map(tf.nest.flatten, (before.agent.policy, after.agent.policy)), strict=True)
    assert np.mean([np.any(a != b) for a, b in pairs]) >= 0.5  # a clone needs no values
    kept = zip(*map(tf.nest.flatten, (before.agent.replay, after.agent.replay)), strict=True)
    assert all(np.all(a == b) for a, b in kept)


def test_images_are_seen_by_a_torso_of_the_policy_and_flat_by_the_critics_of_iql():
    spec = EnvSpec("pictures", spaces.Box(0, 255, (4, 5, 1), np.uint8), spaces.Discrete(3))
    agent = made("iql", spec, torso="minatar")
    kernels = [leaf.shape for leaf in tf.nest.flatten(agent.init(random.key(0)).learner.critics.params)]
    assert [4 * 5 * 1 + 3, 16] in kernels


def test_a_clone_does_what_the_data_do():
    steps = data(DISCRETE, 2_000)
    alike = steps._replace(action=np.where(steps.observation[:, 0] > 0, 2, 0).astype(np.int32))
    agent = made("bc", DISCRETE, alike, learning_rate=1e-2)
    state, _ = trained(agent, 10)
    chosen = agent.act(state.agent.policy, (), steps.observation[:500], random.key(1), "eval").action
    assert np.mean(chosen.numpy() == alike.action[:500]) > 0.95


def test_those_that_know_rewards_do_better_than_the_data():
    """The mean of the data's actions is far from the good ones, of which IQL and TD3+BC know by their rewards."""
    observation = np.array([[0.8, 0.0], [-0.8, 0.0]], np.float32)
    found = {}
    for name in ("bc", "iql"):
        steps = data(DISCRETE, 2_000)
        seldom = np.random.default_rng(1).random(2_000) < 0.7
        action = np.where(seldom, 1, steps.action).astype(np.int32)  # the bad action is the usual one
        steps = steps._replace(action=action, reward=(action != 1).astype(np.float32))
        more = {"temperature": 0.1, "learning_rate": 3e-3, "critic_learning_rate": 3e-3} if name == "iql" else {}
        agent = made(name, DISCRETE, steps, **more)
        state, _ = trained(agent, 50)
        found[name] = agent.act(state.agent.policy, (), observation, random.key(1), "eval").action.numpy().tolist()
    assert found == {"bc": [1, 1], "iql": [2, 0]}


def sample_of(items, num):
    return replay.Sample(items, tf.zeros([num], tf.int32), tf.ones([num]))


def fixed(outputs, values):
    """An imitator of three actions whose outputs do not depend on its parameters."""
    head = policies.policy_head(spaces.Discrete(3))
    of = lambda params, observation: (tf.constant(outputs), tf.constant(values))
    log_prob = lambda outputs, action: head.distribution(outputs).log_prob(action)
    return SimpleNamespace(outputs=of, log_prob=log_prob, head=head)


def test_the_loss_of_bc_is_the_surprise_at_the_datas_actions():
    items = struct_items(action=[2, 0])
    imitator = fixed(np.log([[0.5, 0.3, 0.2], [0.5, 0.3, 0.2]]).astype(np.float32), [0.0, 0.0])
    value, _ = bc.loss(imitator, (), sample_of(items, 2), SimpleNamespace(entropy_cost=0.0))
    np.testing.assert_allclose(value, -(np.log(0.2) + np.log(0.5)) / 2, rtol=1e-6)


def struct_items(action, reward=(0.0, 0.0), discount=(0.9, 0.0)):
    zeros = np.zeros([2, 2], np.float32)
    return replay.NStepTransition(
        zeros, np.array(action, np.int32), np.array(reward, np.float32), np.array(discount, np.float32), zeros, {}
    )


def test_the_losses_of_iql():
    # Advantages of 1 and -1: the value's loss weighs them 0.7 and 0.3, the policy's exp(1) and exp(-1).
    imitator = fixed(np.log([[0.5, 0.25, 0.25]] * 2).astype(np.float32), [2.0, 2.0])
    hparams = SimpleNamespace(expectile=0.7, temperature=1.0, max_weight=100.0, entropy_cost=0.0, value_cost=1.0)
    sample = sample_of(struct_items(action=[0, 1], reward=[1.0, 2.0]), 2)
    _, metrics = iql.actor_loss(imitator, (), tf.constant([3.0, 1.0]), sample, hparams)
    np.testing.assert_allclose(metrics["value_loss"], (0.7 + 0.3) / 2, rtol=1e-6)
    expected = -(np.e * np.log(0.5) + np.log(0.25) / np.e) / 2
    np.testing.assert_allclose(metrics["policy_loss"], expected, rtol=1e-5)
    # Targets are 1 + 0.9 * 10 and 2; errors are 10 - 8, 10 - 10, 2 - 3, 2 - 0.
    value, _ = iql.critic_loss(tf.constant([[8.0, 10.0], [3.0, 0.0]]), tf.constant([10.0, 10.0]), sample)
    np.testing.assert_allclose(value, (2.0**2 + 1.0 + 2.0**2) / 2 / 2, rtol=1e-6)


def test_the_policy_of_td3bc_is_held_to_the_data():
    # Values are 3 and 1, of a mean size of 2; actions are 0.5 and 0 away.
    values = lambda inputs, action: tf.stack([6 * action[:, 0], action[:, 0]], axis=-1)
    actions, taken = tf.constant([[0.5], [1 / 6]]), tf.constant([[0.0], [1 / 6]])
    loss = td3bc.actor_loss(values, tf.zeros([2, 1]), actions, taken, value_weight=2.5)
    np.testing.assert_allclose(loss, 0.25 / 2 - 2.5, rtol=1e-5)


def test_the_regulariser_of_cql_is_what_the_critics_prefer_to_the_data():
    q = np.log([[[1.0, 2.0, 3.0], [2.0, 2.0, 2.0]]]).astype(np.float32)  # two critics of three actions
    batch = sac.Batch(sample_of(struct_items(action=[2])._replace(action=np.array([2], np.int32)), 1), *[None] * 3)
    found = cql.regularizer(lambda inputs: tf.constant(q), batch, random.key(0), None, 4)
    np.testing.assert_allclose(found, np.log(6 / 3) + np.log(6 / 2), rtol=1e-6)


def test_the_regulariser_of_cql_in_a_box_is_an_integral():
    """With q = log(c) everywhere it is the logarithm of the cube's volume, 2, whatever is drawn."""
    spec, num = struct.space_spec(BOX.action_space), 3
    squashed = cql.learning.squashed_policy(BOX.action_space)
    items = struct_items([0, 0, 0])._replace(action=np.full([num, *spec.shape], 0.5, np.float32))
    batch = sac.Batch(sample_of(items, num), tf.zeros([num, 2]), None, tf.zeros([num, 2]))
    critics = lambda inputs: tf.fill([inputs.shape[0], 2, 1], 1.7)
    uniform = cql.regularizer(critics, batch, random.key(0), squashed, 2_000)
    np.testing.assert_allclose(uniform, 2 * np.log(2.0), atol=0.1)


@pytest.mark.parametrize("name", OFFLINE)
def test_a_data_set_of_another_environment_is_refused(name):
    steps = data(BOX)
    wide = steps._replace(observation=np.zeros([512, 3], np.float32))
    with pytest.raises(
        ValueError, match=r"the data set's observation is float32 \(3,\) per step, box has float32 \(2,"
    ):
        made(name, BOX, wide)
    with pytest.raises(ValueError, match="the data set's action is float64"):
        made(name, BOX, steps._replace(action=steps.action.astype(np.float64)))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda steps: {"action": steps.action[:200]}, "the data set's action has 200 steps, expected 512, as many as"),
        (lambda steps: {"reward": steps.reward + np.nan}, "the data set's reward is nan in a step, expected finite"),
        (lambda steps: {"action": steps.action * np.inf}, "the data set's action is -?inf in a step, expected finite"),
        (lambda steps: {"action": steps.action + 1_000}, r"the data set's action is \d+.* in a step, box has Box"),
    ],
)
def test_a_data_set_of_impossible_values_is_refused(change, message):
    steps = data(BOX)
    with pytest.raises(ValueError, match=message):
        made("td3bc", BOX, steps._replace(**change(steps)))


def test_discrete_actions_of_a_data_set_are_those_that_there_are():
    steps, bad = data(DISCRETE), np.full([512], int(DISCRETE.action_space.n), np.int32)
    with pytest.raises(ValueError, match=rf"the data set's action is {bad[0]} in a step, discrete has Discrete"):
        made("cql", DISCRETE, steps._replace(action=bad))


def test_the_replay_of_a_data_set_has_its_size():
    with pytest.raises(ValueError, match="replay_capacity is 100, expected the 512 steps of the data set"):
        bc.BCHParams(replay_capacity=100).of_size(data(BOX))
    hparams = bc.BCHParams().of_size(data(BOX))
    assert hparams.of_size(data(BOX)).replay_capacity == 512


def test_what_learns_from_single_steps_has_no_memory():
    with pytest.raises(ValueError, match="memory is 'lstm', expected 'none'"):
        sets.make(sets.SETS["bc"], memory="lstm")


def test_draws_are_the_way_back_from_actions():
    for space, action in [
        (spaces.Discrete(3), [0, 2]),
        (spaces.MultiDiscrete([2, 3]), [[0, 2], [1, 1]]),
        (spaces.Box(np.float32([-1, 0]), np.float32([3, 0.5])), [[-1, 0.5], [2, 0.25]]),
        (spaces.Box(-2, 2, (2, 2), np.float32), [[[1, 2], [0, -2]]]),
    ]:
        head = policies.policy_head(space)
        given = np.array(action, space.dtype)
        np.testing.assert_allclose(head.to_action(head.to_draw(tf.constant(given))), given, atol=1e-6)
