"""The one place where a gradient meets an optimiser."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import tensorflow as tf

from rl_fn import optimizers, struct
from rl_fn._src import shards
from rl_fn.struct import Metrics, Nest


class Trained(NamedTuple):
    """Parameters that learn, and the state of their optimiser."""

    params: Nest
    opt_state: Nest


def init_trained(params: Nest, optimizer: optimizers.Optimizer) -> Trained:
    """Parameters before their first gradient step."""
    return Trained(params, optimizer.init(params))


def minimise(
    loss: Callable[[Nest], tuple[tf.Tensor, Nest]],
    optimizer: optimizers.Optimizer,
    trained: Trained,
    prefix: str = "",
) -> tuple[Trained, Nest]:
    """One gradient step on a loss; where devices share a batch, on the mean of their losses.

    Args:
      loss: `params -> (scalar, more)`; what more it has to say is handed through. To a dict in it, of metrics, are
        added `grad_norm`, the global norm of the gradient before it is clipped, and the `learning_rate` of the step,
        where the optimiser has one.
      optimizer: turns gradients into updates; clipping is a part of it.
      trained: from `init_trained`.
      prefix: of the names of these metrics, where an agent has several optimisers.

    Returns:
      The parameters and the optimiser's state after the step, and `more`.
    """
    (_, more), grads = struct.value_and_gradient(loss, trained.params)
    grads = shards.mean(grads)
    updates, opt_state = optimizer.update(grads, trained.opt_state, trained.params)
    measured = {f"{prefix}grad_norm": optimizers.global_norm(grads)}
    if optimizer.learning_rate:
        measured[f"{prefix}learning_rate"] = optimizer.learning_rate(trained.opt_state)
    return Trained(optimizers.apply_updates(trained.params, updates), opt_state), _with(measured, more)


def _with(measured: Metrics, more: Nest) -> Nest:
    """Adds metrics to the dict that `more` is, or that is one of its parts."""
    if isinstance(more, dict):
        return {**measured, **more}
    if not isinstance(more, tuple):
        return more
    parts = [{**measured, **part} if isinstance(part, dict) else part for part in more]
    return type(more)(*parts) if hasattr(more, "_fields") else tuple(parts)
