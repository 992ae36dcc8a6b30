"""Optimisers as pairs of pure functions, composed by `chain`, and learning-rate schedules.

    optimizer = chain(clip_by_global_norm(0.5), adam(3e-4))
    opt_state = optimizer.init(params)
    updates, opt_state = optimizer.update(grads, opt_state, params)
    params = apply_updates(params, updates)

Updates are added to the parameters: a plain gradient step returns `-learning_rate * grads`. A learning
rate is a float, a scalar tensor, or a function of the number of steps taken so far (int32), such as
the schedules below or those in `tf.keras.optimizers.schedules`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeAlias

import tensorflow as tf

from rl_fn.struct import Nest

Schedule: TypeAlias = Callable[[tf.Tensor], tf.Tensor]
ScalarOrSchedule: TypeAlias = float | tf.Tensor | Schedule


class Optimizer(NamedTuple):
    """`init(params) -> opt_state`; `update(grads, opt_state, params) -> (updates, opt_state)`."""

    init: Callable[[Nest], Nest]
    update: Callable[[Nest, Nest, Nest], tuple[Nest, Nest]]


class SgdState(NamedTuple):
    count: tf.Tensor  # int32[]: steps taken
    momentum: Nest  # as the parameters; the empty tuple without momentum


class RmspropState(NamedTuple):
    count: tf.Tensor  # int32[]
    square: Nest  # as the parameters: running mean of squared gradients
    mean: Nest  # running mean of gradients; the empty tuple unless centred
    momentum: Nest  # the empty tuple without momentum


class AdamState(NamedTuple):
    count: tf.Tensor  # int32[]
    mean: Nest  # as the parameters: running mean of gradients
    square: Nest  # as the parameters: running mean of squared gradients


def apply_updates(params: Nest, updates: Nest) -> Nest:
    """Adds updates to parameters, keeping the parameters' dtypes."""
    return tf.nest.map_structure(lambda p, u: p + tf.cast(u, p.dtype), params, updates)


def global_norm(nest: Nest) -> tf.Tensor:
    """The Euclidean norm of all leaves together, a scalar."""
    return tf.sqrt(tf.add_n([tf.reduce_sum(tf.square(leaf)) for leaf in tf.nest.flatten(nest)]))


def sgd(learning_rate: ScalarOrSchedule, momentum: float = 0.0, nesterov: bool = False) -> Optimizer:
    """Gradient descent, with momentum as Sutskever et al. (2013): v <- m v - lr g; x <- x + v."""

    def init(params: Nest) -> SgdState:
        return SgdState(tf.constant(0), _zeros_like(params) if momentum else ())

    def update(grads: Nest, state: SgdState, params: Nest = None) -> tuple[Nest, SgdState]:
        del params
        rate = _rate(learning_rate, state.count)
        steps = tf.nest.map_structure(lambda g: -_as(rate, g) * g, grads)
        if not momentum:
            return steps, SgdState(state.count + 1, ())
        velocity = tf.nest.map_structure(lambda v, s: momentum * v + s, state.momentum, steps)
        updates = tf.nest.map_structure(lambda v, s: momentum * v + s, velocity, steps) if nesterov else velocity
        return updates, SgdState(state.count + 1, velocity)

    return Optimizer(init, update)


def rmsprop(
    learning_rate: ScalarOrSchedule,
    decay: float = 0.9,
    epsilon: float = 1e-7,
    momentum: float = 0.0,
    centered: bool = False,
    epsilon_inside_sqrt: bool = True,
) -> Optimizer:
    """RMSProp (Tieleman and Hinton, 2012), in both conventions for epsilon.

    Args:
      learning_rate: a float, a scalar tensor or a schedule.
      decay: the decay of the running means, in [0, 1).
      epsilon: keeps the divisor away from zero.
      momentum: accumulates the scaled steps where it is not zero.
      centered: subtract the squared mean gradient, so that the divisor is a standard deviation.
      epsilon_inside_sqrt: g / sqrt(v + epsilon), as in Keras and in the DQN paper's code, or
        g / (sqrt(v) + epsilon), as in PyTorch.
    """

    def init(params: Nest) -> RmspropState:
        zeros = _zeros_like(params)
        return RmspropState(tf.constant(0), zeros, zeros if centered else (), zeros if momentum else ())

    def update(grads: Nest, state: RmspropState, params: Nest = None) -> tuple[Nest, RmspropState]:
        del params
        rate = _rate(learning_rate, state.count)
        square = tf.nest.map_structure(lambda v, g: decay * v + (1 - decay) * g * g, state.square, grads)
        mean: Nest = ()
        variance = square
        if centered:
            mean = tf.nest.map_structure(lambda m, g: decay * m + (1 - decay) * g, state.mean, grads)
            variance = tf.nest.map_structure(lambda v, m: v - m * m, square, mean)

        def scaled(g: tf.Tensor, v: tf.Tensor) -> tf.Tensor:
            divisor = tf.sqrt(v + epsilon) if epsilon_inside_sqrt else tf.sqrt(v) + epsilon
            return _as(rate, g) * g / divisor

        steps = tf.nest.map_structure(scaled, grads, variance)
        velocity: Nest = ()
        if momentum:
            velocity = steps = tf.nest.map_structure(lambda b, s: momentum * b + s, state.momentum, steps)
        updates = tf.nest.map_structure(tf.negative, steps)
        return updates, RmspropState(state.count + 1, square, mean, velocity)

    return Optimizer(init, update)


def adam(
    learning_rate: ScalarOrSchedule,
    beta_1: float = 0.9,
    beta_2: float = 0.999,
    epsilon: float = 1e-8,
    corrected_epsilon: bool = True,
) -> Optimizer:
    """Adam (Kingma and Ba, 2015, algorithm 1).

    Args:
      learning_rate: a float, a scalar tensor or a schedule.
      beta_1: the decay of the running mean of gradients, in [0, 1).
      beta_2: the decay of the running mean of squared gradients, in [0, 1).
      epsilon: keeps the divisor away from zero.
      corrected_epsilon: add epsilon to the bias-corrected root, as the paper's algorithm 1, or to
        the uncorrected one ("epsilon hat", section 2), as Keras does.
    """
    return adamw(learning_rate, beta_1, beta_2, epsilon, weight_decay=0.0, corrected_epsilon=corrected_epsilon)


def adamw(
    learning_rate: ScalarOrSchedule,
    beta_1: float = 0.9,
    beta_2: float = 0.999,
    epsilon: float = 1e-8,
    weight_decay: float = 0.01,
    corrected_epsilon: bool = True,
) -> Optimizer:
    """Adam with decoupled weight decay (Loshchilov and Hutter, 2019): each step also subtracts lr * decay * x.

    Arguments as for `adam`.
    """

    def init(params: Nest) -> AdamState:
        return AdamState(tf.constant(0), _zeros_like(params), _zeros_like(params))

    def update(grads: Nest, state: AdamState, params: Nest = None) -> tuple[Nest, AdamState]:
        rate = _rate(learning_rate, state.count)
        count = state.count + 1
        correction_1, correction_2 = (_one_minus_power(beta, count) for beta in (beta_1, beta_2))
        mean = tf.nest.map_structure(lambda m, g: beta_1 * m + (1 - beta_1) * g, state.mean, grads)
        square = tf.nest.map_structure(lambda v, g: beta_2 * v + (1 - beta_2) * g * g, state.square, grads)
        # Both corrections are folded into two scalars, so that each parameter costs one division.
        root = tf.sqrt(correction_2)
        step_size = rate * root / correction_1
        shift = epsilon * root if corrected_epsilon else tf.constant(epsilon, tf.float32)
        updates = tf.nest.map_structure(
            lambda m, v: -_as(step_size, m) * m / (tf.sqrt(v) + _as(shift, m)), mean, square
        )
        if weight_decay:
            if params is None:
                raise ValueError("adamw: update needs params, because weight decay depends on them")
            decay = rate * weight_decay
            updates = tf.nest.map_structure(lambda u, p: u - _as(decay, p) * p, updates, params)
        return updates, AdamState(count, mean, square)

    return Optimizer(init, update)


def clip_by_global_norm(max_norm: float | tf.Tensor) -> Optimizer:
    """Scales gradients down so that their global norm is at most `max_norm`."""

    def update(grads: Nest, state: tuple, params: Nest = None) -> tuple[Nest, tuple]:
        del params
        norm = global_norm(grads)
        scale = max_norm / tf.maximum(norm, max_norm)
        return tf.nest.map_structure(lambda g: g * _as(scale, g), grads), state

    return Optimizer(lambda params: (), update)


def chain(*optimizers: Optimizer) -> Optimizer:
    """Applies transformations in order, each to what the one before returns."""

    def init(params: Nest) -> tuple:
        return tuple(optimizer.init(params) for optimizer in optimizers)

    def update(grads: Nest, states: tuple, params: Nest = None) -> tuple[Nest, tuple]:
        next_states = []
        for optimizer, state in zip(optimizers, states, strict=True):
            grads, state = optimizer.update(grads, state, params)
            next_states.append(state)
        return grads, tuple(next_states)

    return Optimizer(init, update)


def flatten(optimizer: Optimizer) -> Optimizer:
    """Runs an optimiser on all small parameters as one vector, and on each large one by itself.

    Compiled, a step of a small network is then a few operations instead of a few per parameter.

    Raises:
      ValueError: by `init`, if the small parameters have different dtypes.
    """

    def join(nest: Nest) -> dict[str, Nest]:
        small, large = _small_and_large(nest)
        vector = {"small": tf.concat([tf.reshape(leaf, [-1]) for leaf in small.values()], axis=0)} if small else {}
        return {**vector, "large": list(large.values())}

    def init(params: Nest) -> Nest:
        dtypes = sorted({leaf.dtype.name for leaf in _small_and_large(params)[0].values()})
        if len(dtypes) > 1:
            raise ValueError(f"flatten: the parameters are of {', '.join(dtypes)}, expected one dtype")
        return optimizer.init(join(params))

    def update(grads: Nest, state: Nest, params: Nest = None) -> tuple[Nest, Nest]:
        joined, state = optimizer.update(join(grads), state, None if params is None else join(params))
        small, large = _small_and_large(grads)
        updates = dict(zip(large, joined["large"], strict=True))
        if small:
            parts = tf.split(joined["small"], [leaf.shape.num_elements() for leaf in small.values()])
            for (index, leaf), part in zip(small.items(), parts, strict=True):
                updates[index] = tf.reshape(part, leaf.shape)
        return tf.nest.pack_sequence_as(grads, [updates[index] for index in sorted(updates)]), state

    return Optimizer(init, update)


_LARGE = 1 << 14  # elements: copying as many takes longer than a few operations more


def _small_and_large(nest: Nest) -> tuple[dict[int, tf.Tensor], dict[int, tf.Tensor]]:
    """The leaves of up to _LARGE elements, and the others, by their places among all."""
    leaves = dict(enumerate(tf.nest.flatten(nest)))
    large = {index: leaf for index, leaf in leaves.items() if leaf.shape.num_elements() > _LARGE}
    return {index: leaf for index, leaf in leaves.items() if index not in large}, large


def linear_schedule(initial: Any, final: Any, steps: int, begin: int = 0) -> Schedule:
    """From `initial` to `final` in a straight line over `steps` steps, starting at step `begin`."""
    _check_steps("linear_schedule", steps)

    def schedule(step: tf.Tensor) -> tf.Tensor:
        return initial + (final - initial) * _fraction(step, steps, begin)

    return schedule


def cosine_schedule(initial: Any, steps: int, final_fraction: float = 0.0) -> Schedule:
    """From `initial` to `final_fraction * initial` along half a cosine (Loshchilov and Hutter, 2017)."""
    _check_steps("cosine_schedule", steps)

    def schedule(step: tf.Tensor) -> tf.Tensor:
        cosine = 0.5 * (1 + tf.cos(math.pi * _fraction(step, steps)))
        return initial * ((1 - final_fraction) * cosine + final_fraction)

    return schedule


def exponential_schedule(initial: Any, decay_rate: Any, steps: int, staircase: bool = False) -> Schedule:
    """`initial * decay_rate ** (step / steps)`, the exponent rounded down where `staircase` is true."""
    _check_steps("exponential_schedule", steps)

    def schedule(step: tf.Tensor) -> tf.Tensor:
        exponent = tf.cast(step, tf.float32) / steps
        return initial * tf.pow(tf.cast(decay_rate, tf.float32), tf.floor(exponent) if staircase else exponent)

    return schedule


def piecewise_constant_schedule(boundaries: Sequence[int], values: Sequence[float]) -> Schedule:
    """`values[i]` up to and including step `boundaries[i]`, and `values[-1]` after the last.

    Raises:
      ValueError: unless there is one more value than boundaries, and boundaries increase.
    """
    if len(values) != len(boundaries) + 1 or list(boundaries) != sorted(set(boundaries)):
        raise ValueError(
            f"piecewise_constant_schedule: given boundaries {list(boundaries)} and {len(values)} values, "
            "expected increasing boundaries and one value more"
        )

    def schedule(step: tf.Tensor) -> tf.Tensor:
        passed = tf.reduce_sum(tf.cast(tf.cast(step, tf.int32) > tf.constant(list(boundaries), tf.int32), tf.int32))
        return tf.gather(tf.constant(values, tf.float32), passed)

    return schedule


def _zeros_like(params: Nest) -> Nest:
    return tf.nest.map_structure(tf.zeros_like, params)


def _rate(learning_rate: ScalarOrSchedule, count: tf.Tensor) -> tf.Tensor:
    value = learning_rate(count) if callable(learning_rate) else learning_rate
    return tf.cast(value, tf.float32)


def _one_minus_power(base: float, count: tf.Tensor) -> tf.Tensor:
    """1 - base**count without the cancellation that costs three digits at the first steps of Adam."""
    return -tf.math.expm1(tf.cast(count, tf.float32) * (math.log(base) if base > 0 else -math.inf))


def _as(scalar: tf.Tensor, leaf: tf.Tensor) -> tf.Tensor:
    return tf.cast(scalar, leaf.dtype)


def _fraction(step: tf.Tensor, steps: int, begin: int = 0) -> tf.Tensor:
    return tf.clip_by_value((tf.cast(step, tf.float32) - begin) / steps, 0.0, 1.0)


def _check_steps(name: str, steps: int) -> None:
    if isinstance(steps, int) and steps < 1:
        raise ValueError(f"{name}: steps is {steps}, expected at least 1")
