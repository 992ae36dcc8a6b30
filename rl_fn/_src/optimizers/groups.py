"""Groups of parameters that are treated differently, and decay, which is rarely meant for all of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import numpy as np
import tensorflow as tf

from rl_fn._src import scalars
from rl_fn._src.optimizers import base
from rl_fn._src.optimizers.base import Optimizer
from rl_fn.struct import Nest, Scalar, named_leaves

# A nest like the parameters, or like its upper part; or a function from the parameters to one, to which gradients
# may be given in their place: what counts are names, shapes and dtypes.
Labels: TypeAlias = Nest | Callable[[Nest], Nest]


def masked(optimizer: Optimizer, mask: Labels) -> Optimizer:
    """Applies a transformation to some of the parameters and passes on the gradients of the others.

        decay = masked(add_decayed_weights(1e-4), {"torso": True, "head": False})
        kernels = lambda params: tf.nest.map_structure(lambda p: p.shape.rank > 1, params)
        decay = masked(add_decayed_weights(1e-4), kernels)

    Args:
      optimizer: what is applied. It sees a nest with the empty tuple in place of the other parameters.
      mask: a nest of True and False with the structure of the parameters, or of the upper part of it; or a
        function from such a nest of tensors to one.

    Raises:
      ValueError: by `init`, if the mask does not have the structure of the parameters.
      TypeError: by `init`, if it holds something else.
    """

    def init(params: Nest) -> Nest:
        return optimizer.init(_only(chosen("masked", mask, params), params))

    def update(grads: Nest, state: Nest, params: Nest = None) -> tuple[Nest, Nest]:
        mine = chosen("masked", mask, grads)
        updates, state = optimizer.update(_only(mine, grads), state, None if params is None else _only(mine, params))
        remaining = iter(tf.nest.flatten(updates))
        return tf.nest.map_structure(lambda yes, g: next(remaining) if yes else g, mine, grads), state

    return Optimizer(init, update, by_leaf=True)


def partition(optimizers: Mapping[str, Optimizer], labels: Labels) -> Optimizer:
    """Gives each group of parameters an optimiser of its own.

        optimizer = partition({"slow": adam(1e-4), "fast": adam(1e-3)}, {"torso": "slow", "head": "fast"})

    Args:
      optimizers: by label. `scale(0.0)` freezes a group.
      labels: the label of each parameter, in a nest as for `masked`.

    Raises:
      ValueError: by `init`, if the labels do not have the structure of the parameters, or one has no optimiser.
    """

    def of(nest: Nest) -> Nest:
        spread = _spread("partition: labels", labels(nest) if callable(labels) else labels, nest)
        for name, label in named_leaves(spread):
            if label not in optimizers:
                raise ValueError(f"partition: the label of {name} is {label!r}, expected one of {sorted(optimizers)}")
        return spread

    def group(label: str) -> Optimizer:
        return masked(optimizers[label], lambda nest: tf.nest.map_structure(lambda own: own == label, of(nest)))

    groups = {label: group(label) for label in optimizers}

    def init(params: Nest) -> dict[str, Nest]:
        return {label: optimizer.init(params) for label, optimizer in groups.items()}

    def update(grads: Nest, state: dict[str, Nest], params: Nest = None) -> tuple[Nest, dict[str, Nest]]:
        following = {}
        for label, optimizer in groups.items():
            grads, following[label] = optimizer.update(grads, state[label], params)
        return grads, following

    return Optimizer(init, update, by_leaf=True)


def add_decayed_weights(weight_decay: Scalar, mask: Labels | None = None) -> Optimizer:
    """Adds `weight_decay` times the parameters.

    Behind `scale_by_adam` and before `scale_by_learning_rate` it is the decoupled decay of Loshchilov and Hutter
    (2019); before them, the gradient of an L2 penalty.

    Args:
      weight_decay: at least 0.
      mask: which parameters decay; by default all. See `masked`.

    Raises:
      ValueError: if the decay is negative; by `update`, if it is given no parameters.
    """
    scalars.check("add_decayed_weights: weight_decay", weight_decay, "[0, inf)")

    def update(grads: Nest, state: tuple, params: Nest = None) -> tuple[Nest, tuple]:
        if params is None:
            raise ValueError("add_decayed_weights: update needs params, because weight decay depends on them")
        return tf.nest.map_structure(lambda g, p: g + base.times(weight_decay, p), grads, params), state

    decay = Optimizer(lambda params: (), update)
    return decay if mask is None else masked(decay, mask)


def chosen(caller: str, mask: Labels, nest: Nest) -> Nest:
    """A mask as a nest of True and False like the given one."""
    spread = _spread(f"{caller}: mask", mask(nest) if callable(mask) else mask, nest)
    for name, yes in named_leaves(spread):
        if not isinstance(yes, bool | np.bool_):
            raise TypeError(f"{caller}: the mask of {name} is {yes!r}, expected True or False")
    return spread


def _spread(what: str, labels: Nest, nest: Nest, path: str = "") -> Nest:
    """A label for each leaf, where one may stand for a whole part of the nest."""
    if not tf.nest.is_nested(labels):
        return tf.nest.map_structure(lambda _: labels, nest)
    if isinstance(labels, dict) and isinstance(nest, dict) and labels.keys() == nest.keys():
        return {name: _spread(what, labels[name], nest[name], f"{path}{name}/") for name in nest}
    if isinstance(labels, tuple | list) and isinstance(nest, tuple | list) and len(labels) == len(nest):
        parts = [_spread(what, *pair, f"{path}{i}/") for i, pair in enumerate(zip(labels, nest, strict=True))]
        return type(nest)(*parts) if hasattr(nest, "_fields") else type(nest)(parts)
    kinds = [f"a {type(part).__name__} {sorted(part) if isinstance(part, dict) else ''}" for part in (labels, nest)]
    raise ValueError(f"{what}: {path.rstrip('/') or 'the whole'} is {kinds[0]}, expected a label or {kinds[1]}")


def _only(mask: Nest, nest: Nest) -> Nest:
    nothing: Any = ()
    return tf.nest.map_structure(lambda yes, leaf: leaf if yes else nothing, mask, nest)
