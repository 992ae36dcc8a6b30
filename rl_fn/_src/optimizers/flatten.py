"""Small parameters joined to one vector."""

from __future__ import annotations

import tensorflow as tf

from rl_fn._src.optimizers.base import Optimizer, small_and_large
from rl_fn.struct import Nest


def flatten(optimizer: Optimizer) -> Optimizer:
    """Runs an optimiser on all small parameters as one vector, and on each large one by itself.

    Compiled, a step of a small network is then a few operations instead of a few per parameter.

    Raises:
      ValueError: if the optimiser tells parameters apart, as `masked` and `partition` do: flatten what they are
        given; by `init`, if the small parameters have different dtypes.
    """
    if optimizer.by_leaf:
        raise ValueError(
            "flatten: the optimiser tells parameters apart (masked, partition or a mask), which one vector does not: "
            "flatten the optimisers inside"
        )

    def join(nest: Nest) -> dict[str, Nest]:
        small, large = small_and_large(nest)
        vector = {"small": tf.concat([tf.reshape(leaf, [-1]) for leaf in small.values()], axis=0)} if small else {}
        return {**vector, "large": list(large.values())}

    def init(params: Nest) -> Nest:
        dtypes = sorted({leaf.dtype.name for leaf in small_and_large(params)[0].values()})
        if len(dtypes) > 1:
            raise ValueError(f"flatten: the parameters are of {', '.join(dtypes)}, expected one dtype")
        return optimizer.init(join(params))

    def update(grads: Nest, state: Nest, params: Nest = None) -> tuple[Nest, Nest]:
        joined, state = optimizer.update(join(grads), state, None if params is None else join(params))
        small, large = small_and_large(grads)
        updates = dict(zip(large, joined["large"], strict=True))
        if small:
            parts = tf.split(joined["small"], [leaf.shape.num_elements() for leaf in small.values()])
            for (index, leaf), part in zip(small.items(), parts, strict=True):
                updates[index] = tf.reshape(part, leaf.shape)
        return tf.nest.pack_sequence_as(grads, [updates[index] for index in sorted(updates)]), state

    return Optimizer(init, update, learning_rate=optimizer.learning_rate)
