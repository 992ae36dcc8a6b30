"""Transformations that multiply, and gradient descent, which is made of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import tensorflow as tf

from rl_fn._src import scalars
from rl_fn._src.optimizers import base
from rl_fn._src.optimizers.base import Optimizer, ScalarOrSchedule, Schedule
from rl_fn.struct import Nest, Scalar


class ScheduleState(NamedTuple):
    """The state of what follows a schedule."""

    count: tf.Tensor  # int32[]: steps taken


class TraceState(NamedTuple):
    """The state of `trace`."""

    velocity: Nest  # as the parameters, at least float32: the decaying sum


def scale(factor: Scalar) -> Optimizer:
    """Multiplies by a factor of any sign; by 0, it keeps parameters as they are.

    Raises:
      TypeError: if it is neither a number nor a scalar tensor.
    """
    scalars.check("scale: factor", factor, "(-inf, inf)")

    def update(grads: Nest, state: tuple, params: Nest = None) -> tuple[Nest, tuple]:
        del params
        return tf.nest.map_structure(lambda g: base.times(factor, g), grads), state

    return Optimizer(lambda params: (), update)


def scale_by_schedule(schedule: Schedule) -> Optimizer:
    """Multiplies by `schedule(count)`, where the count of steps begins at 0.

    Raises:
      TypeError: if the schedule is no function.
    """
    if not callable(schedule):
        raise TypeError(f"scale_by_schedule: schedule is {schedule!r}, expected a function of the number of steps")
    return _scaled(lambda count: tf.cast(schedule(count), tf.float32))


def scale_by_learning_rate(learning_rate: ScalarOrSchedule) -> Optimizer:
    """Multiplies by minus the learning rate: what goes in points up the loss, what comes out down.

    Args:
      learning_rate: a number, a scalar tensor or a schedule.

    Raises:
      TypeError: if it is neither.
      ValueError: if it is a negative number.
    """
    base.check_rate("scale_by_learning_rate: learning_rate", learning_rate)
    scaled = _scaled(lambda count: -base.rate_at(learning_rate, count))
    return scaled._replace(learning_rate=base.counted_rate(learning_rate))


def trace(decay: Scalar, nesterov: bool = False) -> Optimizer:
    """Momentum: the sum of what came in, older parts decayed, v <- decay v + g.

    Behind `scale_by_learning_rate` it is the momentum of Sutskever et al. (2013), before it that of PyTorch;
    they differ where the learning rate changes.

    Args:
      decay: in [0, 1).
      nesterov: return decay v + g with the new v, as if the next step had been taken (Nesterov, 1983).

    Raises:
      ValueError: if the decay is out of range.
    """
    scalars.check("trace: decay", decay, "[0, 1)")

    def add(old: tf.Tensor, new: tf.Tensor) -> tf.Tensor:
        return base.times(decay, old) + new

    def update(grads: Nest, state: TraceState, params: Nest = None) -> tuple[Nest, TraceState]:
        del params
        grads = base.as_moments("trace: grads", grads, state.velocity)
        velocity = tf.nest.map_structure(add, state.velocity, grads)
        return tf.nest.map_structure(add, velocity, grads) if nesterov else velocity, TraceState(velocity)

    return Optimizer(lambda params: TraceState(base.zeros_like(params)), update)


def sgd(learning_rate: ScalarOrSchedule, momentum: Scalar = 0.0, nesterov: bool = False) -> Optimizer:
    """Gradient descent, with momentum as Sutskever et al. (2013): v <- m v - lr g; x <- x + v.

    Args:
      learning_rate: a number, a scalar tensor or a schedule.
      momentum: in [0, 1).
      nesterov: look one step ahead; see `trace`.

    Raises:
      ValueError: if a number is out of range, or `nesterov` is asked for without momentum.
    """
    if scalars.is_zero(momentum):
        if nesterov:
            raise ValueError("sgd: nesterov is True and momentum 0, expected a momentum to look ahead with")
        return scale_by_learning_rate(learning_rate)
    return base.chain(scale_by_learning_rate(learning_rate), trace(momentum, nesterov))


def _scaled(factor: Callable[[tf.Tensor], tf.Tensor]) -> Optimizer:
    def update(grads: Nest, state: ScheduleState, params: Nest = None) -> tuple[Nest, ScheduleState]:
        del params
        now = factor(state.count)
        return tf.nest.map_structure(lambda g: base.times(now, g), grads), ScheduleState(base.after(state.count))

    return Optimizer(lambda params: ScheduleState(tf.constant(0)), update)
