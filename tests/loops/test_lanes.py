"""Which rollouts of workers are learned from, and when."""

import numpy as np
import pytest

from rl_fn._src.loops.lanes import Lanes, Piece

EMPTY = np.zeros(0, np.uint8)
NOBODY = lambda worker: False
EVERYBODY = lambda worker: True


def piece(worker, number, version=0, generation=0):
    return Piece(worker, generation, number, version, EMPTY)


def taken(lanes, updates=0, is_late=NOBODY):
    """The worker and the number of each piece, by lanes, and whether streams were cut; None if there is nothing."""
    found = lanes.take(updates, is_late)
    return found and ([(one.worker, one.number) for one in found.pieces], found.is_cut)


def test_each_worker_fills_the_lane_of_its_own():
    lanes = Lanes(2, None, has_streams=True)
    lanes.add(piece(1, 0))
    assert taken(lanes) is None
    lanes.add(piece(0, 0))
    assert taken(lanes) == ([(0, 0), (1, 0)], False)
    lanes.updated()
    for one in (piece(0, 1), piece(1, 1)):
        lanes.add(one)
    assert taken(lanes) == ([(0, 1), (1, 1)], False)


def test_a_late_worker_is_not_waited_for_and_its_stream_is_cut_there_and_back():
    lanes = Lanes(2, None, has_streams=True)
    for one in (piece(0, 0), piece(1, 0), piece(0, 1), piece(0, 2)):
        lanes.add(one)
    assert taken(lanes) == ([(0, 0), (1, 0)], False)
    assert taken(lanes) is None  # worker 1 may still come
    assert taken(lanes, is_late=EVERYBODY) == ([(0, 1), (0, 2)], True)
    for one in (piece(0, 3), piece(1, 1)):
        lanes.add(one)
    assert taken(lanes) == ([(0, 3), (1, 1)], True)
    for one in (piece(0, 4), piece(1, 2)):
        lanes.add(one)
    assert taken(lanes) == ([(0, 4), (1, 2)], False)


def test_a_replaced_worker_begins_a_stream_of_its_own():
    lanes = Lanes(1, None, has_streams=True)
    lanes.add(piece(0, 0))
    assert taken(lanes) == ([(0, 0)], False)
    lanes.add(piece(0, 0, generation=1))
    assert taken(lanes) == ([(0, 0)], True)


def test_without_streams_the_first_are_served_and_nothing_is_cut():
    lanes = Lanes(2, 1, has_streams=False)
    for number in range(2):
        lanes.add(piece(1, number))
    assert taken(lanes) == ([(1, 1), (1, 0)], False)


def test_what_was_acted_by_too_old_a_policy_is_dropped():
    lanes = Lanes(2, 1, has_streams=False)
    for one in (piece(0, 0, version=3), piece(1, 0, version=4), piece(0, 1, version=5)):
        lanes.add(one)
    assert taken(lanes, updates=5) == ([(0, 1), (1, 0)], False)
    assert lanes.dropped == 1
    anything = Lanes(1, None, has_streams=False)
    anything.add(piece(0, 0, version=0))
    assert taken(anything, updates=1_000) == ([(0, 0)], False)


@pytest.mark.parametrize(
    ("max_lag", "before", "during", "waiting"),
    [(0, 2, 0, 2), (1, 4, 2, 4), (2, 6, 4, 6), (20, 6, 4, 6), (None, 6, 4, 6)],
)
def test_workers_are_ahead_by_as_much_as_the_policy_may_be_behind(max_lag, before, during, waiting):
    """Of two workers: rollouts that may have begun before an update, during one, and in all if none is taken."""
    lanes = Lanes(2, max_lag, has_streams=False)
    assert [lanes.may_begin(acting) for acting in range(before)] == [True] * before
    assert not lanes.may_begin(before)
    for number in range(waiting):
        lanes.add(piece(0, number))
    assert not lanes.may_begin(0)
    for _ in range(waiting // 2):
        assert lanes.take(0, NOBODY) is not None
    assert [lanes.may_begin(acting) for acting in range(during)] == [True] * during
    assert not lanes.may_begin(during)
    lanes.updated()
    assert lanes.may_begin(0)
