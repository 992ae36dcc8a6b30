"""What the tests of the buffers share: generated sequences of operations, and the comparison with a model.

A sequence of operations runs as one compiled call, so that thousands of them are quick: what is added
comes from a tape, and an operation is a number that says how much of the tape the buffer takes next.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

import hypothesis
import numpy as np
import tensorflow as tf
from hypothesis import strategies
from scipy import stats

from rl_fn import random
from rl_fn._src.scan import scan
from rl_fn.replay import Store
from rl_fn.struct import Transition

MAX_OPERATIONS = 6

many_examples = hypothesis.settings(
    max_examples=2_000, deadline=None, derandomize=True, database=None, print_blob=False
)

SCALAR = {"id": tf.TensorSpec([], tf.int32), "pixels": tf.TensorSpec([2], tf.uint8)}


def numbered(first: int, shape: int | Sequence[int]) -> dict[str, np.ndarray]:
    """Items of the specification SCALAR with ids that count up from `first`."""
    ids = (first + np.arange(np.prod(shape), dtype=np.int32)).reshape(shape)
    return {"id": ids, "pixels": np.stack([ids % 256, (3 * ids) % 256], axis=-1).astype(np.uint8)}


def compiled(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function as one XLA program, compiled once per shape."""
    return tf.function(function, jit_compile=True, autograph=False)


def operations(num_kinds: int) -> strategies.SearchStrategy[list[int]]:
    """Lists of operations 1 ... num_kinds, drawn as one number: that is four times as fast as a list."""

    def digits(number: int) -> list[int]:
        found = []
        while number:
            number, digit = divmod(number, num_kinds + 1)
            found.append(digit)
        return [digit for digit in found if digit]

    return strategies.integers(0, (num_kinds + 1) ** MAX_OPERATIONS - 1).map(digits)


class Player:
    """Runs sequences of additions to a store, and looks at all of what it holds then.

    Args:
      store: the store.
      sizes: operation i adds the next `sizes[i - 1]` elements of the tape.
      cuts: whether there is one more operation behind these, which cuts the streams.
    """

    def __init__(self, store: Store, sizes: Sequence[int], cuts: bool = False):
        self.store, self.sizes = store, sizes

        def play(ops: tf.Tensor, tape: Any) -> tuple:
            def step(carry: Any, op: tf.Tensor) -> tuple[Any, None]:
                state, used = carry
                grow = lambda size: (store.add(state, slice_of(tape, used, size))[0], used + size)
                branches = [lambda: carry, *(lambda s=size: grow(s) for size in sizes)]
                if cuts:
                    branches.append(lambda: (store.cut(state)[0], used))
                return tf.switch_case(op, branches), None

            (state, _), _ = scan(step, (store.init(), tf.constant(0)), ops)
            return look(store, state)

        self._play = compiled(play)

    def play(self, ops: Sequence[int], tape: Any) -> tuple[int, tuple]:
        """Runs the operations; returns how much of the tape was used, and what `look` sees at the end."""
        seen = self._play(padded(ops), tape)
        return sum([0, *self.sizes, 0][op] for op in ops), tf.nest.map_structure(np.asarray, seen)

    def cut_at(self, ops: Sequence[int], tape: Transition) -> Transition:
        """The tape with its streams cut where the operations do so."""
        used, truncated = 0, tape.truncated.copy()
        for op in ops:
            used += [0, *self.sizes, 0][op]
            if op > len(self.sizes) and used:
                truncated[used - 1] |= ~tape.terminated[used - 1]
        return tape._replace(truncated=truncated)


def padded(ops: Sequence[int]) -> tf.Tensor:
    return tf.constant([*ops, *[0] * (MAX_OPERATIONS - len(ops))], tf.int32)


def slice_of(tape: Any, begin: tf.Tensor, size: int) -> Any:
    return tf.nest.map_structure(lambda leaf: tf.gather(leaf, begin + tf.range(size)), tape)


def look(store: Store, state: Any) -> tuple:
    """All that a store can be asked; see `assert_holds`."""
    every = tf.range(store.num_slots)
    slots = store.nth(state, every)
    rows = store.read_rows(state, tf.range(max(leaf.shape[0] for leaf in tf.nest.flatten(state) if leaf.shape.rank)))
    read = store.read(state, slots, random.key(0))
    return store.count(state), slots, store.is_item(state, every), read, store.num_rows(state), rows


def assert_holds(seen: tuple, items: Any, rows: Any, axis: Any = 0) -> None:
    """Checks that a store holds exactly these items and rows, oldest first.

    `items` is a nest of arrays with the items along `axis`, a number or a nest of them, and `rows` one
    with the rows along the first.
    """
    count, slots, is_item, read, num_rows, read_rows = seen
    axes = tf.nest.map_structure(lambda _: axis, items) if isinstance(axis, int) else axis
    zeros = tf.nest.map_structure(lambda _: 0, rows)
    for held, number, expected, along in ((read, count, items, axes), (read_rows, num_rows, rows, zeros)):
        tf.nest.assert_same_structure(held, expected)
        leaves = [tf.nest.flatten(nest) for nest in (held, expected, along)]
        for a, e, leaf_axis in zip(*leaves, strict=True):
            assert number == e.shape[leaf_axis]
            assert a.dtype == e.dtype
            np.testing.assert_array_equal(a.take(range(number), axis=leaf_axis), e)
    assert len(set(slots[:count])) == count
    assert set(np.flatnonzero(is_item)) == set(slots[:count])


def assert_frequencies(drawn: np.ndarray, probabilities: np.ndarray) -> None:
    """Chi-squared test of draws against probabilities; nothing of probability zero may be drawn."""
    probabilities = np.asarray(probabilities, np.float64)
    counts = np.bincount(np.ravel(drawn), minlength=len(probabilities))
    assert len(counts) == len(probabilities)
    possible = probabilities > 0
    assert not counts[~possible].any()
    expected = probabilities[possible] / probabilities.sum() * counts.sum()
    assert expected.min() > 5, "too few draws for the test"
    assert len(expected) == 1 or stats.chisquare(counts[possible], expected).pvalue > 1e-3


def assert_in_place(program: Any, rows: int) -> None:
    """Checks that a compiled program makes nothing of the size of a buffer of that many rows but by scatters."""
    made = re.compile(rf"= \w+\[{rows}[],]\S* (\S+?)\(")
    passed_on = {"parameter", "get-tuple-element", "bitcast", "scatter", "reshape"}
    for line in program.hlo().splitlines():
        match = made.search(line)
        if match and match[1] not in passed_on and not (match[1] == "fusion" and "scatter" in line.split("=")[0]):
            raise AssertionError(f"not in place: {line.strip()[:300]}")
