"""The one place where a gradient meets an optimiser."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import tensorflow as tf

from rl_fn import optimizers, struct
from rl_fn.struct import Nest


class Trained(NamedTuple):
    """Parameters that learn, and the state of their optimiser."""

    params: Nest
    opt_state: Nest


def init_trained(params: Nest, optimizer: optimizers.Optimizer) -> Trained:
    """Parameters before their first gradient step."""
    return Trained(params, optimizer.init(params))


def minimise(
    loss: Callable[[Nest], tuple[tf.Tensor, Nest]], optimizer: optimizers.Optimizer, trained: Trained
) -> tuple[Trained, Nest]:
    """One gradient step on a loss.

    Args:
      loss: `params -> (scalar, more)`; what more it has to say is handed through.
      optimizer: turns gradients into updates; clipping is a part of it.
      trained: from `init_trained`.

    Returns:
      The parameters and the optimiser's state after the step, and `more`.
    """
    (_, more), grads = struct.value_and_gradient(loss, trained.params)
    updates, opt_state = optimizer.update(grads, trained.opt_state, trained.params)
    return Trained(optimizers.apply_updates(trained.params, updates), opt_state), more
