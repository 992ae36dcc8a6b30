import numpy as np
import pytest
import tensorflow as tf

from rl_fn import updates
from tests.support import assert_modes_agree, assert_nests_close, assert_refuses

NEW = {"kernel": np.float32([[1.0, 2.0], [3.0, 4.0]]), "bias": (np.float32([5.0, 6.0]), np.float32(7.0))}
OLD = tf.nest.map_structure(lambda x: -2 * x, NEW)


def test_incremental_update_goes_a_part_of_the_way():
    assert_nests_close(updates.incremental_update(NEW, OLD, 0.25), tf.nest.map_structure(lambda x: -1.25 * x, NEW))
    assert_nests_close(updates.incremental_update(NEW, OLD, 0.0), OLD)
    assert_nests_close(updates.incremental_update(NEW, OLD, 1.0), NEW)


def test_incremental_update_keeps_the_dtype():
    new, old = (tf.nest.map_structure(lambda x: tf.cast(x, tf.bfloat16), nest) for nest in (NEW, OLD))
    assert updates.incremental_update(new, old, 0.5)["kernel"].dtype == tf.bfloat16


@pytest.mark.parametrize(("steps", "period", "copied"), [(0, 5, True), (4, 5, False), (10, 5, True), (3, 1, True)])
def test_periodic_update(steps, period, copied):
    assert_nests_close(updates.periodic_update(NEW, OLD, steps, period), NEW if copied else OLD)
    assert_nests_close(updates.periodic_update(NEW, OLD, tf.constant(steps, tf.int64), period), NEW if copied else OLD)


def test_conditional_update():
    assert_nests_close(updates.conditional_update(NEW, OLD, True), NEW)
    assert_nests_close(updates.conditional_update(NEW, OLD, np.array(False)), OLD)


def test_counters_are_copied_with_the_parameters():
    counted = updates.periodic_update({"count": np.int64(2**40)}, {"count": np.int64(0)}, 2**40, 2)
    assert counted["count"].numpy() == 2**40


def test_modes_agree():
    pair = (NEW["kernel"], OLD["kernel"])
    in_a_nest = lambda update: lambda new, old, *rest: update([new], [old], *rest)
    assert_modes_agree(in_a_nest(updates.incremental_update), *pair, np.float32(0.1))
    assert_modes_agree(in_a_nest(updates.periodic_update), *pair, np.array(4), np.array(2))
    assert_modes_agree(in_a_nest(updates.conditional_update), *pair, np.array(True))


def test_bad_inputs_are_refused():
    assert_refuses(r"step_size holds 1.5", updates.incremental_update, NEW, OLD, 1.5)
    assert_refuses(r"period holds 0", updates.periodic_update, NEW, OLD, 1, 0)
    assert_refuses(r"is_time is float32", updates.conditional_update, NEW, OLD, tf.constant(1.0))
    assert_refuses("structure", updates.incremental_update, NEW, {"kernel": OLD["kernel"]}, 0.5)
