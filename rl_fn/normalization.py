"""Normalisation of targets, observations and rewards by statistics that are learned along the way.

- Pop-Art: scales of the value targets of several tasks, and the output layer that keeps its predictions.
- `RunningMoments`: mean and variance of everything seen so far.
- `exponential_moving_moments`: mean and variance that forget.

Variances are accumulated as such and never as a difference of large numbers, so float32 statistics
are those of float64 to rounding also where the mean is large. No statistics get a gradient.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import tensorflow as tf

from rl_fn._src.scan import scan
from rl_fn._src.shapes import check_shape, sizes_of
from rl_fn._src.signature import signature
from rl_fn.struct import Nest


class PopArtState(NamedTuple):
    """Statistics of the targets of `num_outputs` values, `[num_outputs]` each."""

    shift: tf.Tensor  # the mean
    scale: tf.Tensor  # the standard deviation, within the bounds
    variance: tf.Tensor  # the variance, unbounded


class PopArtOutput(NamedTuple):
    """A chosen output of the network before and after the scale and the shift."""

    normalized: tf.Tensor
    unnormalized: tf.Tensor


class PopArt(NamedTuple):
    """`init() -> state`; `update(params, state, targets, indices) -> (params, state)`."""

    init: Callable[[], PopArtState]
    update: Callable[..., tuple[dict[str, tf.Tensor], PopArtState]]


def pop_art(num_outputs: int, step_size: float | tf.Tensor, scale_lb: float = 1e-4, scale_ub: float = 1e6) -> PopArt:
    """Adaptive rescaling of targets that preserves the outputs of a linear layer.

    van Hasselt et al. (2016), "Learning values across many orders of magnitude"; for several tasks Hessel
    et al. (2019), "Multi-task deep reinforcement learning with PopArt".

    Args:
      num_outputs: the number of values, such as one per task.
      step_size: how fast the statistics follow.
      scale_lb: the smallest scale.
      scale_ub: the largest scale.

    Returns:
      `PopArt`; its update takes the `{"kernel", "bias"}` of the layer, targets and the index of each.
    """

    def init() -> PopArtState:
        return PopArtState(tf.zeros([num_outputs]), tf.ones([num_outputs]), tf.ones([num_outputs]))

    def update(
        params: dict[str, tf.Tensor], state: PopArtState, targets: tf.Tensor, indices: tf.Tensor
    ) -> tuple[dict[str, tf.Tensor], PopArtState]:
        new = art(state, targets, indices, step_size, scale_lb, scale_ub)
        return pop(params, state, new), new

    return PopArt(init, update)


def _check_outputs(function: str, state: PopArtState, indices: tf.Tensor) -> None:
    """Raises ValueError for an index of no output, where it is known."""
    num_outputs, known = state.shift.shape[0], tf.get_static_value(indices)
    if known is not None and num_outputs is not None and (wrong := known >= num_outputs).any():
        raise ValueError(f"{function}: indices holds {known[wrong].flat[0]}, expected values in [0, {num_outputs})")


@signature(
    lambda state, targets, indices, *_: _check_outputs("art", state, indices),
    targets="float ...",
    indices="int ... in [0, inf)",
    step_size="float in [0, 1]",
    scale_lb="float in (0, inf]",
    scale_ub="float in (0, inf]",
)
def art(
    state: PopArtState,
    targets: tf.Tensor,
    indices: tf.Tensor,
    step_size: float | tf.Tensor,
    scale_lb: float | tf.Tensor,
    scale_ub: float | tf.Tensor,
) -> PopArtState:
    """Moves the shift and the scale towards the targets: "adaptively rescaling targets".

    van Hasselt et al. (2016), equation 3: mean <- (1 - step_size) mean + step_size target, and the same
    for the mean of squares; several targets of one index add up.

    Args:
      state: `PopArtState`.
      targets: `[...]` targets, not normalised.
      indices: `int[...]` the output that each target belongs to.
      step_size: how fast the statistics follow, in [0, 1].
      scale_lb: the smallest scale.
      scale_ub: the largest scale.

    Returns:
      The next state, without gradient.
    """
    indices = indices + tf.zeros_like(targets, tf.int32)
    belongs = tf.one_hot(tf.reshape(indices, [-1]), sizes_of(state.shift)[0], dtype=targets.dtype)
    deviations = belongs * (tf.reshape(targets, [-1, 1]) - state.shift)
    move = step_size * tf.reduce_sum(deviations, axis=0)
    weight = step_size * tf.reduce_sum(belongs, axis=0)
    # The mean of squares minus the squared mean after the update, with the squared means cancelled.
    spread = step_size * tf.reduce_sum(tf.square(deviations), axis=0) - tf.square(move)
    variance = (1 - weight) * state.variance + spread
    scale = tf.sqrt(tf.clip_by_value(variance, tf.square(scale_lb), tf.square(scale_ub)))
    return tf.nest.map_structure(tf.stop_gradient, PopArtState(state.shift + move, scale, variance))


def pop(params: dict[str, tf.Tensor], old: PopArtState, new: PopArtState) -> dict[str, tf.Tensor]:
    """The layer that gives the same unnormalised outputs with the new statistics as with the old.

    "Preserving outputs precisely"; van Hasselt et al. (2016), proposition 1.

    Args:
      params: `{"kernel": [..., num_outputs], "bias": [num_outputs]}`.
      old: the statistics that the layer was trained with.
      new: the statistics to come.
    """
    for name, leaf in params.items():
        check_shape(f"pop: {name}", leaf, old.shift.shape, batched=True)
    return {
        "kernel": params["kernel"] * (old.scale / new.scale),
        "bias": (old.scale * params["bias"] + old.shift - new.shift) / new.scale,
    }


@signature(
    lambda state, _, indices: _check_outputs("normalize", state, indices),
    unnormalized="float ...",
    indices="int ... in [0, inf)",
)
def normalize(state: PopArtState, unnormalized: tf.Tensor, indices: tf.Tensor) -> tf.Tensor:
    """(x - shift) / scale with the statistics of each value's index, `[...]`."""
    shift, scale = _of_each(state, indices)
    return (unnormalized - shift) / scale


@signature(
    lambda state, _, indices: _check_outputs("unnormalize", state, indices),
    normalized="float ...",
    indices="int ... in [0, inf)",
)
def unnormalize(state: PopArtState, normalized: tf.Tensor, indices: tf.Tensor) -> tf.Tensor:
    """scale x + shift with the statistics of each value's index, `[...]`: the inverse of `normalize`."""
    shift, scale = _of_each(state, indices)
    return scale * normalized + shift


@signature(outputs="float ... N", indices="int ... in [0, N)")
def unnormalize_linear(state: PopArtState, outputs: tf.Tensor, indices: tf.Tensor) -> PopArtOutput:
    """Picks the output of each example's index, and brings it to the scale of the targets.

    Args:
      state: `PopArtState` of N values.
      outputs: `[..., N]` outputs of the linear layer.
      indices: `int[...]` in [0, N).

    Returns:
      `PopArtOutput` of `[...]`.
    """
    chosen = tf.one_hot(indices, sizes_of(outputs)[-1], on_value=True, off_value=False, dtype=tf.bool)
    normalized = tf.reduce_sum(tf.where(chosen, outputs, tf.zeros_like(outputs)), axis=-1)
    return PopArtOutput(normalized, unnormalize(state, normalized, indices))


class RunningMoments(NamedTuple):
    """Mean and variance of all that was seen, for nests; a new one normalises to the identity.

        moments = RunningMoments.init(tf.TensorSpec([4]))
        moments = moments.update(observations)  # [..., 4]
        normalized = moments.normalize(observations, clip=10.0)

    Updates are merges of the batch's own moments (Chan, Golub and LeVeque, 1983, "Algorithms for
    computing the sample variance"). The order of batches makes no difference but for rounding, and
    neither does their division among devices: let each update its own and `merge` them.
    """

    count: tf.Tensor  # int64[]: examples seen
    mean: Nest  # as the specification, float32 (float64 where that is)
    variance: Nest  # of the population; one before the first example

    @staticmethod
    def init(spec: Nest) -> RunningMoments:
        """Makes empty statistics for examples like a nest of `tf.TensorSpec`."""
        zeros = tf.nest.map_structure(lambda leaf: tf.zeros(leaf.shape, _statistics_dtype(leaf.dtype)), spec)
        return RunningMoments(tf.constant(0, tf.int64), zeros, tf.nest.map_structure(tf.ones_like, zeros))

    def update(self, batch: Nest) -> RunningMoments:
        """Takes in a batch: each leaf has the shape in the specification after any batch axes."""
        tf.nest.assert_same_structure(self.mean, batch)
        batch = tf.nest.map_structure(lambda x, mean: _batched(x, mean.shape, mean.dtype), batch, self.mean)
        sizes = [sizes_of(leaf)[0] for leaf in tf.nest.flatten(batch)]
        known = {size for size in sizes if isinstance(size, int)}
        if len(known) > 1:
            raise ValueError(f"RunningMoments.update: the leaves hold {sorted(known)} examples, expected one number")
        count = tf.cast(known.pop() if known else sizes[0], tf.int64)
        mean, variance = _map_pair(_batch_moments, batch)
        return self.merge(RunningMoments(count, mean, variance))

    def merge(self, other: RunningMoments) -> RunningMoments:
        """The statistics of both together."""
        count = self.count + other.count
        share = tf.cast(other.count, tf.float64) / tf.cast(tf.maximum(count, 1), tf.float64)

        def merged(mean, variance, other_mean, other_variance):
            return _mixed(mean, variance, other_mean, other_variance, tf.cast(share, mean.dtype))

        nests = (self.mean, self.variance, other.mean, other.variance)
        return RunningMoments(count, *_map_pair(merged, *nests))

    def normalize(self, x: Nest, clip: float | None = None, epsilon: float = 1e-8) -> Nest:
        """(x - mean) / sqrt(variance + epsilon), within [-clip, clip] where given; the gradient flows into x.

        A floating-point x keeps its dtype, anything else takes that of the statistics.
        """

        def normalized(x: tf.Tensor, mean: tf.Tensor, variance: tf.Tensor) -> tf.Tensor:
            x = tf.convert_to_tensor(x)
            check_shape("RunningMoments.normalize: a leaf", x, mean.shape, batched=True)
            dtype = tf.float64 if x.dtype == tf.float64 else mean.dtype
            mean, variance = (tf.cast(tf.stop_gradient(statistic), dtype) for statistic in (mean, variance))
            result = (tf.cast(x, dtype) - mean) * tf.math.rsqrt(variance + epsilon)
            if clip is not None:
                result = tf.clip_by_value(result, -clip, clip)
            return tf.cast(result, x.dtype) if x.dtype.is_floating else result

        return tf.nest.map_structure(normalized, x, self.mean, self.variance)


class RewardNormalizer(NamedTuple):
    """Scales rewards so that discounted returns have unit variance; their mean stays as it is.

    Engstrom et al. (2020), "Implementation matters in deep policy gradients", section 3.
    """

    moments: RunningMoments  # of the discounted sums of rewards since the episode began
    returns: tf.Tensor  # float32[B]: these sums, one for each environment

    @staticmethod
    def init(num_envs: int) -> RewardNormalizer:
        """Makes empty statistics of that many environments; they leave rewards as they are."""
        return RewardNormalizer(RunningMoments.init(tf.TensorSpec([])), tf.zeros([num_envs]))

    def update(self, reward: tf.Tensor, is_last: tf.Tensor, gamma: float | tf.Tensor) -> RewardNormalizer:
        """Takes in `[T, B]` rewards and where episodes end."""
        check_shape("RewardNormalizer.update: reward", reward, [None, *self.returns.shape])
        check_shape("RewardNormalizer.update: is_last", is_last, [None, *self.returns.shape])

        def step(before: tf.Tensor, x: tuple[tf.Tensor, tf.Tensor]) -> tuple[tf.Tensor, tf.Tensor]:
            reward, is_last = x
            total = gamma * before + reward
            return tf.where(is_last, 0.0, total), total

        last, totals = scan(step, self.returns, (reward, is_last))
        return RewardNormalizer(self.moments.update(totals), last)

    def normalize(self, reward: tf.Tensor, clip: float | None = None) -> tf.Tensor:
        """The rewards `[...]` over the deviation of the returns, within [-clip, clip] where given."""
        scaled = reward * tf.math.rsqrt(self.moments.variance + 1e-8)
        return scaled if clip is None else tf.clip_by_value(scaled, -clip, clip)


class EmaMoments(NamedTuple):
    """Mean and variance of each leaf, scalars."""

    mean: Nest
    variance: Nest


class EmaState(NamedTuple):
    """The statistics so far and how much weight has gone into them."""

    moments: EmaMoments
    weight: tf.Tensor  # float32[]: 1 - decay ** updates


class Ema(NamedTuple):
    """`init(nest) -> state`; `update(nest, state) -> (moments, state)`."""

    init: Callable[[Nest], EmaState]
    update: Callable[[Nest, EmaState], tuple[EmaMoments, EmaState]]


def exponential_moving_moments(decay: float | tf.Tensor = 0.999) -> Ema:
    """Mean and variance of each leaf of a nest, with weights that fall by `decay` per update.

    The moments have no bias towards zero at the start (Kingma and Ba, 2015, "Adam: a method for stochastic
    optimization", section 3).

    Args:
      decay: in [0, 1).

    Returns:
      `Ema`: its init takes a nest like those to come, for structure and dtypes.
    """

    def init(template: Nest) -> EmaState:
        zeros = tf.nest.map_structure(lambda x: tf.zeros([], _statistics_dtype(tf.as_dtype(x.dtype))), template)
        return EmaState(EmaMoments(zeros, zeros), tf.constant(0.0))

    def update(nest: Nest, state: EmaState) -> tuple[EmaMoments, EmaState]:
        weight = decay * state.weight + (1 - decay)
        share = (1 - decay) / tf.maximum(weight, weight.dtype.as_numpy_dtype(1e-30))

        def moved(x, mean, variance):
            values = tf.reshape(tf.cast(tf.convert_to_tensor(x), mean.dtype), [-1])
            return _mixed(mean, variance, *_batch_moments(values), tf.cast(share, mean.dtype))

        moments = EmaMoments(*_map_pair(moved, nest, state.moments.mean, state.moments.variance))
        return moments, EmaState(moments, weight)

    return Ema(init, update)


def _of_each(state: PopArtState, indices: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    return tf.gather(tf.stop_gradient(state.shift), indices), tf.gather(tf.stop_gradient(state.scale), indices)


def _statistics_dtype(dtype: tf.DType) -> tf.DType:
    return tf.float64 if dtype == tf.float64 else tf.float32


def _batched(x: tf.Tensor, shape: tf.TensorShape, dtype: tf.DType) -> tf.Tensor:
    """One batch axis in front of `shape`."""
    x = tf.convert_to_tensor(x)
    check_shape("RunningMoments.update: a leaf", x, shape, batched=True)
    batch = sizes_of(x)[: x.shape.rank - shape.rank]
    return tf.cast(tf.reshape(x, [math.prod(batch), *shape]), dtype)


def _batch_moments(batch: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    batch = tf.stop_gradient(batch)
    mean = tf.reduce_mean(batch, axis=0)
    return mean, tf.reduce_mean(tf.square(batch - mean), axis=0)


def _mixed(mean, variance, other_mean, other_variance, share) -> tuple[tf.Tensor, tf.Tensor]:
    """Mean and variance of a mixture in which the other distribution has the given share."""
    delta = other_mean - mean
    part = lambda x: tf.math.multiply_no_nan(x, share)  # an empty batch has no moments
    return mean + part(delta), (1 - share) * (variance + part(tf.square(delta))) + part(other_variance)


def _map_pair(function: Callable[..., tuple], *nests: Nest) -> tuple[Nest, Nest]:
    """Maps a function of two results over nests, to two nests."""
    results = [function(*leaves) for leaves in zip(*(tf.nest.flatten(nest) for nest in nests), strict=True)]
    first, second = zip(*results, strict=True)
    return tf.nest.pack_sequence_as(nests[0], first), tf.nest.pack_sequence_as(nests[0], second)
