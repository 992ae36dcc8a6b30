"""Several devices that share a step come to what one device comes to, to rounding."""

import numpy as np
import pytest
import tensorflow as tf

from rl_fn import envs, loops, random, sets, struct
from rl_fn._src import shards
from rl_fn.runs import Run
from tests.loops.agents import versions

PPO = {
    "num_envs": 4,
    "rollout_length": 4,
    "hidden_sizes": (8,),
    "num_epochs": 1,
    "num_minibatches": 2,
    "train_steps": 3_200,
    "normalize_observations": True,
    "normalize_rewards": True,
}
DQN = {
    "num_envs": 4,
    "rollout_length": 2,
    "hidden_sizes": (8,),
    "train_steps": 1_600,
    "learning_starts": 32,
    "batch_size": 16,
    "replay_capacity": 300,
    "gradient_steps": 2,
    "prioritized": True,
    "epsilon_schedule": "per_actor",
}


class Shared:
    """The same training on one device, and on two that share it: both of this machine's one CPU, which is enough."""

    def __init__(self, name, settings):
        self.env = envs.make("CartPole-v1")
        agent = sets.agent_module(name).make(self.env.spec, sets.make(sets.SETS[name], settings))
        self.start = loops.init_state(agent, self.env, random.key(3))
        step = loops.SharedStep(agent, self.env, loops.spec_of(lambda key: self.start), 2)
        self.peers = [loops.OnDevice(step, index, "/CPU:0") for index in range(2)]
        self.two = loops.Lockstep(step, self.peers, self.start)
        self.one = loops.compile(loops.train_step(agent, self.env), self.start)


@pytest.fixture(scope="module", params=[("ppo", PPO), ("dqn", DQN)], ids=["ppo", "dqn"])
def shared(request):
    made = Shared(*request.param)
    yield made
    for peer in made.peers:
        peer.close()


def bits(held):
    return {name: leaf.numpy().tobytes() for name, leaf in struct.named_leaves(held.read())}


def test_200_updates_are_those_of_one_device(shared):
    shared.one.restore(shared.start)
    shared.two.restore(shared.start)
    of_one, of_two = shared.one.run(200), shared.two.run(200)
    assert of_one.episodes.count == of_two.episodes.count > 20
    moved = 0
    pairs = zip(struct.named_leaves(shared.one.read()), struct.named_leaves(shared.two.read()), strict=True)
    for (name, one), (_, two) in pairs:
        if name.startswith("agent/") and "params" in name:
            moved += 1
            np.testing.assert_allclose(two, one, rtol=0, atol=1e-5, err_msg=name)
        else:
            np.testing.assert_allclose(two, one, rtol=1e-4, atol=1e-5, err_msg=name)
    assert moved
    for (name, one), (_, two) in zip(
        struct.named_leaves(of_one.metrics), struct.named_leaves(of_two.metrics), strict=True
    ):
        np.testing.assert_allclose(two, one, rtol=1e-4, atol=1e-3, err_msg=name)


def test_a_run_in_pieces_has_the_bits_of_the_whole(shared):
    shared.two.restore(shared.start)
    shared.two.run(20)
    middle = shared.two.read()
    shared.two.run(13)
    whole = bits(shared.two)
    shared.two.restore(middle)
    shared.two.run(1)
    shared.two.run(12)
    assert bits(shared.two) == whole


@pytest.mark.parametrize(
    ("draw", "shape"),
    [
        (random.bits, (6, 5)),
        (random.uniform, (6,)),
        (random.normal, (3, 6, 2)),
        (lambda key, shape: random.randint(key, shape, 0, 1_000), (6, 3)),
        (lambda key, shape: random.categorical(key, tf.zeros(shape)), (6, 4)),
        (lambda key, shape: random.uniform(key, shape, dtype=tf.float64), (6, 3)),
        (random.coins, (6, 37)),
    ],
)
def test_each_of_three_devices_draws_its_rows_of_what_one_device_draws(draw, shape):
    axis = shape.index(6)
    whole = draw(random.key(5), shape)
    parts = []
    for index in range(3):
        with shards.sharded(tf.constant(index), 3), shards.rows_of(2):
            parts.append(draw(random.key(5), (*shape[:axis], shards.rows(2), *shape[axis + 1 :])))
    rounding = 1e-6 if whole.dtype.is_floating else 0  # an error function of few numbers is computed otherwise
    np.testing.assert_allclose(tf.concat(parts, axis), whole, rtol=rounding, atol=0)


def test_a_draw_without_rows_is_the_same_on_all_devices():
    with shards.sharded(tf.constant(1), 2), shards.rows_of(3):
        np.testing.assert_array_equal(random.uniform(random.key(0), [5]), random.uniform(random.key(0), [5]))
        shared = random.uniform(random.key(0), [5])
    np.testing.assert_array_equal(shared, random.uniform(random.key(0), [5]))


def test_one_device_leaves_no_trace():
    nest = {"x": tf.constant([1.0, 2.0])}
    assert shards.mean(nest) is shards.gathered(nest) is shards.mine(nest) is nest


def test_what_cannot_be_shared_is_told_at_once():
    env = envs.make("CartPole-v1")
    with pytest.raises(ValueError, match=r"^num_envs is 3, expected a multiple of the 2 devices that share them$"):
        loops.SharedStep(versions(num_envs=3), env, None, 2)
    settings = sets.make(sets.SETS["ppo"], {**PPO, "num_envs": 2, "rollout_length": 3, "num_minibatches": 2})
    agent = sets.agent_module("ppo").make(env.spec, settings)
    expected = r"^a minibatch of 3 cannot be shared by 2 devices, expected a multiple of 2$"
    with pytest.raises(ValueError, match=expected):
        loops.SharedStep(agent, env, loops.spec_of(lambda key: loops.init_state(agent, env, key)), 2)


def test_more_devices_than_there_are(tmp_path):
    expected = r"^devices is 2, expected at most 1, which is how many CPUs there are; make more with tf\.config"
    with pytest.raises(ValueError, match=expected):
        Run(versions(), envs.make("CartPole-v1"), tmp_path, train_steps=8, devices=2)
    with pytest.raises(ValueError, match=r"^copies is 2, expected 1 on 2 devices, which share one run$"):
        Run(versions(), envs.make("CartPole-v1"), tmp_path, train_steps=8, devices=2, copies=2)
    with pytest.raises(ValueError, match=r"^devices is 2, expected 1: .*CartPole-v1 is stepped on the host$"):
        Run(versions(), envs.make("gymnasium:CartPole-v1", 2), tmp_path, train_steps=8, devices=2, eval_episodes=0)
