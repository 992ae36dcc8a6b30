"""A step compiled: in place, in chunks, restored, in copies."""

import gc
import re

import numpy as np
import psutil
import pytest
import tensorflow as tf

from rl_fn import envs, loops, random, struct
from rl_fn.agents import dqn, ppo

ENV = envs.make("CartPole-v1")
DQN = dqn.DQNHParams(
    train_steps=4_000, num_envs=4, rollout_length=2, replay_capacity=3_001, learning_starts=16, batch_size=8
).override(hidden_sizes=(16,))
PPO = ppo.PPOHParams(train_steps=4_000, num_envs=4, rollout_length=8).override(hidden_sizes=(16,))


def make(hparams):
    module = dqn if isinstance(hparams, dqn.DQNHParams) else ppo
    agent = module.make(ENV.spec, hparams)
    return agent, loops.train_step(agent, ENV)


def compiled(hparams, seed=0):
    agent, step = make(hparams)
    return loops.compile(step, loops.init_state(agent, ENV, random.key(seed)))


def numpy(state):
    return tf.nest.map_structure(lambda leaf: leaf.numpy(), state)


def assert_equal(first, second):
    for (name, a), (_, b) in zip(struct.named_leaves(first), struct.named_leaves(second), strict=True):
        np.testing.assert_array_equal(a, b, err_msg=name)


class Trained:
    """A state at the start, after 20 iterations, and the program that does them."""

    def __init__(self, hparams):
        self.hparams, self.runner = hparams, compiled(hparams)
        self.before = numpy(self.runner.read())
        self.sums = self.runner.run(20)
        self.after = numpy(self.runner.read())


@pytest.fixture(scope="module", params=[DQN, PPO], ids=["dqn", "ppo"])
def trained(request):
    return Trained(request.param)


def test_the_replay_is_updated_in_place():
    runner = compiled(DQN)
    text = runner.hlo()
    rows = DQN.replay_capacity
    assert {f"f32[{rows},10]", f"s32[{rows},1]"} <= set(re.findall(r"\w+\[[\d,]+\]", text))
    assert " copy(" in text  # so that the next line can find something
    assert not re.search(rf"= \w+\[{rows}[,\]]\S* copy", text)
    header = text.splitlines()[0]
    variables = len(tf.nest.flatten(runner.read()))
    assert header.count("may-alias") + header.count("must-alias") == variables


def test_lowering_for_an_absent_gpu_takes_the_state_and_returns_it():
    def step(state):
        return {"count": state["count"] + 1, "sum": state["sum"] * 2.0}, {"total": tf.reduce_sum(state["sum"])}

    runner = loops.compile(step, {"count": tf.constant(0), "sum": tf.ones([3])})
    layout = re.search(r"entry_computation_layout=\{(.*?)\}\n", re.sub(r"\{[\d,]*\}", "", runner.lower("GPU", "hlo")))
    assert layout.group(1) == "(s32[], s32[], f32[3])->(s32[], f32[3], f32[])"
    assert len(runner.lower("GPU")) > 100


def test_chunks_do_not_matter(trained):
    trained.runner.restore(trained.before)
    for size in (1, 7, 12):
        trained.runner.run(size)
    assert trained.runner.trace_count == 1
    assert_equal(numpy(trained.runner.read()), trained.after)


def test_a_restored_state_goes_on_as_if_nothing_had_happened(trained):
    trained.runner.restore(trained.before)
    trained.runner.run(9)
    second = compiled(trained.hparams, seed=5)
    second.restore(numpy(trained.runner.read()))
    second.run(11)
    assert_equal(numpy(second.read()), trained.after)


def test_a_copy_is_what_it_is_alone(trained):
    agent, step = make(trained.hparams)
    states = [loops.init_state(agent, ENV, random.key(seed)) for seed in (4, 0, 7)]
    together = loops.compile(loops.vectorize(step), struct.stack(states))
    sums = together.run(20)
    for (name, alone), (_, copies) in zip(
        struct.named_leaves(trained.after), struct.named_leaves(numpy(together.read())), strict=True
    ):
        np.testing.assert_allclose(copies[1], alone, rtol=1e-2, atol=1e-3, err_msg=name)
    actions = struct.named_leaves(numpy(together.read(lambda state: state.actors)))
    assert any(np.any(leaf[0] != leaf[1]) for _, leaf in actions)
    metrics, episodes = loops.summarize(sums, 20)
    alone_metrics, alone_episodes = loops.summarize(trained.sums, 20)
    np.testing.assert_allclose(episodes.episode_return[1], alone_episodes.episode_return, rtol=0.1)
    assert metrics["loss" if trained.hparams is DQN else "value_loss"].shape == episodes.count.shape == (3,)
    assert metrics.keys() == alone_metrics.keys()


def test_a_thousand_calls_trace_once_and_leak_nothing(trained):
    runner = trained.runner
    for _ in range(100):
        runner.run(1)
    gc.collect()
    before = psutil.Process().memory_info().rss
    for _ in range(900):
        runner.run(1)
    gc.collect()
    assert psutil.Process().memory_info().rss - before < 8 * 2**20
    assert runner.trace_count == 1


def test_wrong_shapes_fail_at_trace_time_with_the_name():
    def step(state):
        return {"weights": state["weights"][:-1], "count": state["count"]}, {}

    runner = loops.compile(step, {"weights": tf.zeros([3]), "count": tf.constant(0)})
    with pytest.raises(ValueError, match=r"weights is float32 \(2,\), expected float32 \(3,\)"):
        runner.run(1)
    with pytest.raises(ValueError, match=r"restore: count is float32 \(\), expected int32 \(\)"):
        runner.restore({"weights": tf.zeros([3]), "count": tf.constant(0.0)})


def test_a_call_returns_outputs_as_they_are_and_nothing_where_the_step_has_nothing_to_say():
    step = lambda total, x: (total + x, {"count": tf.constant(7), "nothing": None, "twice": (2 * x,)})
    compiled = loops.compile(step, tf.constant(1.0))
    told = compiled(tf.constant(3.0))
    assert told == {"count": 7, "nothing": None, "twice": (6,)}
    assert told["count"].dtype == tf.int32
    assert compiled.read() == 4


def test_outputs_of_any_structure_are_summed_and_integers_do_not_overflow():
    def step(state):
        return state + 1, {"pair": (tf.constant(2**30), state < 2), "row": tf.stack([state, state])}

    sums = loops.compile(step, tf.constant(0)).run(4)
    assert sums["pair"] == (2.0**32, 2.0)
    np.testing.assert_array_equal(sums["row"], [6, 6])


def test_a_state_is_replaced_by_a_function_of_it_and_readers_see_the_newest():
    compiled = loops.compile(
        lambda state, by: ({"a": state["a"] + by, "b": state["b"]}, by), {"a": 1, "b": tf.zeros([3])}
    )
    double = compiled.reader(lambda a, x: 2 * a + x, lambda state: state["a"])
    assert double(tf.constant(5)) == 7
    compiled(tf.constant(10))
    assert double(tf.constant(5)) == 27
    negate = compiled.replacer(lambda state: {"a": -state["a"], "b": state["b"] + 1})
    negate()
    assert double(tf.constant(5)) == -17
    negate()
    np.testing.assert_array_equal(compiled.read(lambda state: state["b"]), [2, 2, 2])
    with pytest.raises(ValueError, match=r"replacer: a is float32 \(\), expected int32 \(\)"):
        compiled.replacer(lambda state: {"a": tf.constant(0.0), "b": state["b"]})()
