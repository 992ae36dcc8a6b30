"""Schedules: functions from the number of steps taken, an integer, to float32[].

Before its beginning a schedule has its first value, behind its end its last one. Numbers may be scalar tensors,
the number of steps included. Steps are counted in whole numbers, so that an end is exact however far away it is.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import tensorflow as tf

from rl_fn._src import scalars
from rl_fn._src.optimizers.base import Schedule
from rl_fn.struct import Scalar


def constant_schedule(value: Scalar) -> Schedule:
    """The same value at every step."""
    _check("constant_schedule", value=value)
    return lambda step: tf.cast(value, tf.float32)


def linear_schedule(initial: Scalar, final: Scalar, steps: Scalar, begin: int | tf.Tensor = 0) -> Schedule:
    """From `initial` to `final` in a straight line over `steps` steps, starting at step `begin`.

    Args:
      initial: the value up to step `begin`.
      final: the value from step `begin + steps` on.
      steps: greater than 0; need not be whole.
      begin: at least 0.

    Raises:
      TypeError: if something is neither a number nor a scalar tensor.
      ValueError: if a number is out of range.
    """
    _check("linear_schedule", initial=initial, final=final)
    progress = _progress("linear_schedule", steps, begin)

    def schedule(step: tf.Tensor) -> tf.Tensor:
        (fraction, is_over), first, last = progress(step), _number(initial), _number(final)
        return tf.where(is_over, last, first + (last - first) * fraction)

    return schedule


def polynomial_schedule(
    initial: Scalar, final: Scalar, steps: Scalar, power: Scalar = 1.0, begin: int | tf.Tensor = 0
) -> Schedule:
    """As `linear_schedule`, with the distance to `final` falling as the `power` of the steps that remain.

    Raises:
      TypeError: as there.
      ValueError: as there, or if the power is not positive.
    """
    _check("polynomial_schedule", initial=initial, final=final)
    scalars.check("polynomial_schedule: power", power, "(0, inf)")
    progress = _progress("polynomial_schedule", steps, begin)

    def schedule(step: tf.Tensor) -> tf.Tensor:
        (fraction, is_over), first, last = progress(step), _number(initial), _number(final)
        return tf.where(is_over, last, last + (first - last) * (1 - fraction) ** tf.cast(power, tf.float32))

    return schedule


def cosine_schedule(initial: Scalar, steps: Scalar, final_fraction: Scalar = 0.0) -> Schedule:
    """From `initial` to `final_fraction * initial` along half a cosine (Loshchilov and Hutter, 2017).

    Raises:
      TypeError: if something is neither a number nor a scalar tensor.
      ValueError: if a number is out of range.
    """
    _check("cosine_schedule", initial=initial, final_fraction=final_fraction)
    progress = _progress("cosine_schedule", steps)

    def schedule(step: tf.Tensor) -> tf.Tensor:
        (fraction, is_over), last = progress(step), _number(final_fraction)
        cosine = tf.where(is_over, 0.0, 0.5 * (1 + tf.cos(math.pi * fraction)))
        return _number(initial) * ((1 - last) * cosine + last)

    return schedule


def exponential_schedule(initial: Scalar, decay_rate: Scalar, steps: Scalar) -> Schedule:
    """`initial * decay_rate ** (step / steps)`; it has no end.

    Raises:
      TypeError: if something is neither a number nor a scalar tensor.
      ValueError: if the rate or the number of steps is not positive.
    """
    _check("exponential_schedule", initial=initial)
    scalars.check("exponential_schedule: decay_rate", decay_rate, "(0, inf)")
    scalars.check("exponential_schedule: steps", steps, "(0, inf)")

    def schedule(step: tf.Tensor) -> tf.Tensor:
        exponent = tf.cast(tf.maximum(step, 0), tf.float32) / _number(steps)
        return _number(initial) * tf.pow(tf.cast(decay_rate, tf.float32), exponent)

    return schedule


def piecewise_constant_schedule(boundaries: Sequence[int], values: Sequence[Scalar]) -> Schedule:
    """`values[i]` up to and including step `boundaries[i]`, and `values[-1]` after the last.

    Raises:
      ValueError: unless there is one more value than boundaries, and boundaries increase.
    """
    _check_boundaries("piecewise_constant_schedule", boundaries, "values", len(values))
    _check("piecewise_constant_schedule", **{f"value {index}": value for index, value in enumerate(values)})

    def schedule(step: tf.Tensor) -> tf.Tensor:
        step, value = tf.cast(step, tf.int64), tf.cast(values[0], tf.float32)
        for boundary, following in zip(boundaries, values[1:], strict=True):
            value = tf.where(step > boundary, tf.cast(following, tf.float32), value)
        return value

    return schedule


def join_schedules(schedules: Sequence[Schedule], boundaries: Sequence[int]) -> Schedule:
    """One schedule after the other; `schedules[i + 1]` begins, with its step 0, at step `boundaries[i]`.

        warmup = join_schedules([linear_schedule(0.0, 3e-4, 1_000), cosine_schedule(3e-4, 99_000)], [1_000])

    Raises:
      ValueError: unless there is one more schedule than boundaries, and boundaries increase.
    """
    _check_boundaries("join_schedules", boundaries, "schedules", len(schedules))

    def schedule(step: tf.Tensor) -> tf.Tensor:
        step, value = tf.cast(step, tf.int64), tf.cast(schedules[0](step), tf.float32)
        for boundary, following in zip(boundaries, schedules[1:], strict=True):
            own = tf.cast(following(tf.maximum(step - boundary, 0)), tf.float32)
            value = tf.where(step < boundary, value, own)
        return value

    return schedule


def staircase(schedule: Schedule, period: int | tf.Tensor) -> Schedule:
    """A schedule of `step // period`: it stays the same for `period` steps.

    A learning rate that falls per iteration, where an optimiser counts the gradient steps:

        staircase(linear_schedule(2.5e-4, 0.0, num_iterations), gradient_steps_per_iteration)

    Raises:
      TypeError: if the period is neither a number nor a scalar tensor.
      ValueError: if it is not a whole number from 1.
    """
    scalars.check("staircase: period", period, "[1, inf)")
    if not tf.is_tensor(period) and period % 1:
        raise ValueError(f"staircase: period is {period:g}, expected a whole number")

    def stairs(step: tf.Tensor) -> tf.Tensor:
        step = tf.convert_to_tensor(step)
        return schedule(step // tf.cast(period, step.dtype))

    return stairs


def _progress(
    name: str, steps: Scalar, begin: int | tf.Tensor = 0
) -> Callable[[tf.Tensor], tuple[tf.Tensor, tf.Tensor]]:
    """From a step to the part of the way that is done, float32[] in [0, 1], and whether that is all of it."""
    scalars.check(f"{name}: steps", steps, "(0, inf)")
    scalars.check(f"{name}: begin", begin, "[0, inf)")

    def progress(step: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        elapsed = tf.maximum(tf.cast(step, tf.int64) - tf.cast(begin, tf.int64), 0)
        whole = (
            math.ceil(steps) if not tf.is_tensor(steps) else tf.cast(tf.math.ceil(tf.cast(steps, tf.float64)), tf.int64)
        )
        return tf.minimum(tf.cast(elapsed, tf.float32) / _number(steps), 1.0), elapsed >= whole

    return progress


def _check(name: str, **values: Scalar) -> None:
    for label, value in values.items():
        scalars.check(f"{name}: {label}", value, "(-inf, inf)")


def _number(value: Scalar) -> Scalar:
    """A tensor as float32, a number as float, which takes the dtype of its neighbours."""
    return tf.cast(value, tf.float32) if tf.is_tensor(value) else float(value)


def _check_boundaries(name: str, boundaries: Sequence[int], what: str, num: int) -> None:
    if num != len(boundaries) + 1 or list(boundaries) != sorted(set(boundaries)):
        raise ValueError(
            f"{name}: given boundaries {list(boundaries)} and {num} {what}, "
            f"expected increasing boundaries and one of the {what} more"
        )
