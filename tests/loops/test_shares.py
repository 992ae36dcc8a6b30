"""Copies in shares, which run side by side."""

import numpy as np
import pytest
import tensorflow as tf

from rl_fn import envs, loops, random, struct
from rl_fn.agents import dqn

ENV = envs.make("CartPole-v1")


def step(state):
    after = {"count": state["count"] + 1, "x": 2.0 * state["x"]}
    return after, {"sum": tf.reduce_sum(after["x"])}


def states(copies):
    x = tf.reshape(tf.range(2.0 * copies), [copies, 2])  # [0, 1], [2, 3], ...
    return {"count": tf.zeros([copies], tf.int32), "x": x}


def runner(copies=4, shares=2):
    return loops.compile_copies(step, states(copies), shares)


@pytest.mark.parametrize("shares", [1, 2, 3, 4])
def test_copies_come_to_the_same_in_any_number_of_shares(shares):
    copies = runner(shares=shares)
    sums = copies.run(3)
    np.testing.assert_array_equal(sums["sum"], [14, 70, 126, 182])  # 2 + 4 + 8 times 1, 5, 9, 13
    state = copies.read()
    np.testing.assert_array_equal(state["count"], [3, 3, 3, 3])
    np.testing.assert_array_equal(state["x"], [[0, 8], [16, 24], [32, 40], [48, 56]])
    np.testing.assert_array_equal(copies.leaves(lambda name: name == "count")["count"], [3, 3, 3, 3])


def test_all_shares_are_one_program_traced_once():
    copies = runner(copies=6, shares=3)
    for _ in range(3):
        copies.run(2)
    assert copies.trace_count == 1
    assert copies.graph is not None


def test_a_copy_is_replaced_wherever_it_is():
    copies = runner()
    copies.put(3, {"count": tf.constant(7), "x": tf.constant([5.0, 6.0])})
    copies.run(1)
    np.testing.assert_array_equal(copies.read(lambda state: state["x"]), [[0, 2], [4, 6], [8, 10], [10, 12]])
    np.testing.assert_array_equal(copies.read(lambda state: state["count"]), [1, 1, 1, 8])


def test_a_state_of_all_copies_is_restored_or_refused():
    copies = runner()
    copies.run(1)
    copies.restore(states(4))
    np.testing.assert_array_equal(copies.read()["x"], states(4)["x"])
    with pytest.raises(ValueError, match=r"restore: count is int32 \(2,\), expected int32 \(4,\)"):
        copies.restore(states(2))


def test_what_is_not_finite_is_told_with_the_number_of_its_copy():
    copies = runner()
    copies.put(2, {"count": tf.constant(0), "x": tf.constant([1.0, float("nan")])})
    assert copies.nonfinite(lambda state: state, 4) == [("x", 2)]


@pytest.mark.parametrize("shares", [0, 5])
def test_a_share_has_a_copy_at_least(shares):
    with pytest.raises(ValueError, match=f"shares is {shares}, expected 1 to 4, the number of copies"):
        runner(shares=shares)


def test_a_copy_that_fills_a_share_is_not_told_of():
    copies = runner(copies=3)
    copies.put(2, {"count": tf.constant(0), "x": tf.constant([1.0, float("nan")])})
    assert copies.nonfinite(lambda state: state, 3) == [("x", 2)]
    copies.restore(copies.read())
    assert copies.nonfinite(lambda state: state, 3) == [("x", 2)]
    assert copies.run(1)["sum"].shape == (3,)


@pytest.mark.parametrize(("copies", "threads", "shares"), [(8, 4, 4), (5, 2, 2), (6, 4, 3), (2, 4, 2), (8, 1, 1)])
def test_there_are_as_many_shares_as_threads_or_as_few_as_take_as_long(monkeypatch, copies, threads, shares):
    monkeypatch.setenv("TF_NUM_INTRAOP_THREADS", str(threads))
    monkeypatch.setattr("os.sched_getaffinity", lambda pid: range(16), raising=False)
    found = loops.compile_copies(step, states(copies))
    assert (found.shares if isinstance(found, loops.Shares) else 1) == shares


def test_training_in_shares_is_training_in_one_program():
    hparams = dqn.DQNHParams(train_steps=4_000, num_envs=4, rollout_length=2, learning_starts=16, batch_size=8)
    agent = dqn.make(ENV.spec, hparams.override(hidden_sizes=(16,), replay_capacity=1_000))
    train = loops.train_step(agent, ENV)
    start = struct.stack([loops.init_state(agent, ENV, random.key(seed)) for seed in range(4)])
    one, two = (loops.compile_copies(train, start, shares) for shares in (1, 2))
    sums = [copies.run(20) for copies in (one, two)]
    for (name, whole), (_, shared) in zip(
        struct.named_leaves((one.read(), sums[0])), struct.named_leaves((two.read(), sums[1])), strict=True
    ):
        np.testing.assert_allclose(shared, whole, rtol=1e-2, atol=1e-3, err_msg=name)
    chunks = list(loops.train(two, 30))
    assert chunks[-1].iteration == 30
    assert chunks[-1].metrics["loss"].shape == (4,)
