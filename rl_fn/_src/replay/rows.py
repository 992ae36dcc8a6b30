"""Rows: all leaves of an item side by side, in one matrix per dtype.

Reading an item at random costs a cache miss or two per array it is spread over, and writing one costs a
loop per array. So leaves of the same dtype share a row. Dtypes stay as they are.
"""

from __future__ import annotations

import dataclasses
from typing import TypeAlias

import tensorflow as tf

from rl_fn._src.xla import in_place
from rl_fn.struct import Nest

Storage: TypeAlias = dict[str, tf.Tensor]  # by the name of the dtype, each [rows, width]

# Wider rows are padded to a multiple of 64 bytes of float32. XLA for CPUs turns reading rows of 65 to 74
# elements, as of two observations of 32 and a reward, into code three times as slow as for 80.
_WIDE, _MULTIPLE = 64, 16


@dataclasses.dataclass(frozen=True)
class Place:
    """Where a leaf is in the row."""

    dtype: str
    begin: int
    shape: tf.TensorShape

    @property
    def size(self) -> int:
        """The number of elements."""
        return self.shape.num_elements()


class Rows:
    """How items are laid out.

    Args:
      spec: a nest of `tf.TensorSpec`, one item.
    """

    def __init__(self, spec: Nest):
        self._widths: dict[str, int] = {}

        def place(leaf: tf.TensorSpec) -> Place:
            name = leaf.dtype.name
            begin = self._widths.setdefault(name, 0)
            self._widths[name] += leaf.shape.num_elements()
            return Place(name, begin, leaf.shape)

        # A nest like the specification; parts of it say which leaves to read.
        self.places: Nest = tf.nest.map_structure(place, spec)
        self._padding = {name: -width % _MULTIPLE if width > _WIDE else 0 for name, width in self._widths.items()}

    def zeros(self, num: int) -> Storage:
        """That many rows of zeros."""
        return {
            name: tf.zeros([num, width + self._padding[name]], tf.as_dtype(name))
            for name, width in self._widths.items()
        }

    def write(self, storage: Storage, index: tf.Tensor, items: Nest) -> Storage:
        """Writes items `[N, ...]` to the rows int32[N], which must differ."""
        num = index.shape[0]
        parts: dict[str, list[tf.Tensor]] = {name: [] for name in self._widths}
        for place, leaf in zip(tf.nest.flatten(self.places), tf.nest.flatten(items), strict=True):
            parts[place.dtype].append(tf.reshape(leaf, [num, place.size]))
        written = {}
        for name, leaves in parts.items():
            if self._padding[name]:
                leaves.append(tf.zeros([num, self._padding[name]], tf.as_dtype(name)))
            rows = tf.concat(leaves, axis=1) if len(leaves) > 1 else leaves[0]
            written[name] = in_place.put(storage[name], index, rows)
        return written

    def read(self, storage: Storage, index: tf.Tensor, places: Nest = None) -> Nest:
        """Reads the rows int32[...].

        Args:
          storage: the rows.
          index: which of them.
          places: a part of `self.places`; by default all leaves.

        Returns:
          The leaves, in the structure of `places`, each `[*index.shape, ...]`.
        """
        places = self.places if places is None else places
        rows: dict[str, tf.Tensor] = {}

        def read_leaf(place: Place) -> tf.Tensor:
            wide = storage[place.dtype]
            if place.dtype not in rows:
                rows[place.dtype] = in_place.take(wide, index)
            row = rows[place.dtype]
            return tf.reshape(row[..., place.begin : place.begin + place.size], [*index.shape, *place.shape])

        return tf.nest.map_structure(read_leaf, places)

    def read_number(self, storage: Storage, index: tf.Tensor, place: Place) -> tf.Tensor:
        """Reads one scalar leaf of the rows int32[...], and nothing beside it."""
        wide = storage[place.dtype]
        return in_place.take(tf.reshape(wide, [-1]), _element(wide, index, place))

    def write_number(self, storage: Storage, index: tf.Tensor, place: Place, values: tf.Tensor) -> Storage:
        """Writes one scalar leaf of the rows int32[N], which must differ."""
        wide = storage[place.dtype]
        flat = in_place.put(tf.reshape(wide, [-1]), _element(wide, index, place), values)
        return {**storage, place.dtype: tf.reshape(flat, wide.shape)}


def _element(wide: tf.Tensor, index: tf.Tensor, place: Place) -> tf.Tensor:
    """Where a scalar leaf of rows is in the matrix as a vector."""
    if wide.shape.num_elements() >= 2**31:
        index = tf.cast(index, tf.int64)
    return index * wide.shape[1] + place.begin
