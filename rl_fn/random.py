"""Random numbers from explicit keys: the same bits on every device and in every mode.

A key is a `uint32[2]` tensor. A function that takes a key consumes it: derive new keys with `split`
or `fold_in` and use each of them once. All bits come from Threefry-2x32 with 20 rounds (Salmon,
Moraes, Dror and Shaw, 2011, "Parallel random numbers: as easy as 1, 2, 3"), written in unsigned
integer TensorFlow operations, so eager execution, graphs, XLA and `tf.vectorized_map` agree bit for
bit on `split`, `fold_in`, `bits`, `uniform` on [0, 1), `randint`, `bernoulli`, `coins` and `permutation`.
Draws that go through a logarithm or an error function agree to rounding, and so `gamma` and `dirichlet`
unless rounding decides whether a proposal is accepted.

The second counter word tells the uses of a key apart, so the keys derived from a key never meet
the bits drawn from it: 0 for `bits`, 1 for `split`, 2 for `fold_in`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
import tensorflow as tf

from rl_fn._src import arguments, shards, shuffle
from rl_fn._src.shapes import Size, as_sizes, check_broadcasts, check_order, sizes_of
from rl_fn._src.xla.kept import kept

Key: TypeAlias = tf.Tensor  # uint32[2]
Shape: TypeAlias = Size | Sequence[Size]  # scalar tensors where a size is unknown; or a tensor, as `tf.shape(x)` is

_ROTATIONS = ((13, 15, 26, 6), (17, 29, 16, 24))
_PARITY = 0x1BD11BDA
_BITS, _SPLIT, _FOLD_IN = 0, 1, 2
_TAIL = 2.0  # where less than 3% of normal draws are beyond


def key(seed: int | tf.Tensor) -> Key:
    """Makes a key from a seed.

    Args:
      seed: an integer in [0, 2**64), or a scalar integer tensor.

    Returns:
      The key, `uint32[2]`: the high and the low half of the seed.

    Raises:
      ValueError: if the seed is a Python integer outside [0, 2**64).
      TypeError: if it is no integer.
    """
    if isinstance(seed, tf.Tensor) and seed.dtype.is_integer and seed.shape.rank == 0:
        wide = tf.cast(seed, tf.uint64)
        halves = [tf.bitwise.right_shift(wide, tf.constant(32, tf.uint64)), wide]
        return tf.stack([tf.cast(half, tf.uint32) for half in halves])
    if isinstance(seed, bool) or not isinstance(seed, int | np.integer):
        raise TypeError(f"key: seed is {seed!r}, expected an integer in [0, 2**64)")
    seed = int(seed)
    if not 0 <= seed < 2**64:
        raise ValueError(f"key: seed is {seed}, expected an integer in [0, 2**64)")
    return tf.constant([seed >> 32, seed & 0xFFFFFFFF], tf.uint32)


def threefry_2x32(key: Key, counter: tuple[Any, Any]) -> tuple[tf.Tensor, tf.Tensor]:
    """Threefry-2x32 with 20 rounds: two counter words to two random words.

    Args:
      key: `uint32[2]`.
      counter: two `uint32` tensors of shapes that broadcast.

    Returns:
      Two `uint32` tensors of the broadcast shape.
    """
    key_0, key_1 = tf.unstack(_checked(key))
    schedule = (key_0, key_1, tf.bitwise.bitwise_xor(tf.bitwise.bitwise_xor(key_0, key_1), _PARITY))
    # Each number becomes a tensor once and not in each of the rounds, which takes a tenth of the time of tracing PPO.
    distances = {n: tf.constant(n, tf.uint32) for pair in _ROTATIONS for left in pair for n in (left, 32 - left)}
    word_0, word_1 = counter[0] + schedule[0], counter[1] + schedule[1]
    for group in range(5):
        for left in _ROTATIONS[group % 2]:
            word_0 = word_0 + word_1
            rotated = tf.bitwise.bitwise_or(
                tf.bitwise.left_shift(word_1, distances[left]), tf.bitwise.right_shift(word_1, distances[32 - left])
            )
            word_1 = tf.bitwise.bitwise_xor(word_0, rotated)
        word_0 = word_0 + schedule[(group + 1) % 3]
        word_1 = word_1 + (schedule[(group + 2) % 3] + tf.constant(group + 1, tf.uint32))
    return word_0, word_1


def split(key: Key, num: int = 2) -> tf.Tensor:
    """Derives `num` independent keys, `uint32[num, 2]`."""
    if not tf.is_tensor(num):
        num = arguments.integer("split: num", num, 0)
    counter = tf.cast(tf.range(num), tf.uint32)
    return kept(tf.stack(threefry_2x32(key, (counter, tf.constant(_SPLIT, tf.uint32))), axis=-1))


def fold_in(key: Key, data: int | tf.Tensor) -> Key:
    """Derives the key that belongs to `data`, an integer in [0, 2**32) or a scalar integer tensor."""
    if isinstance(data, int | np.integer) and not isinstance(data, bool):
        if not 0 <= data < 2**32:
            raise ValueError(f"fold_in: data is {data}, expected an integer in [0, 2**32)")
        data = tf.constant(int(data), tf.uint32)
    if not (isinstance(data, tf.Tensor) and data.dtype.is_integer and data.shape.rank == 0):
        raise TypeError(f"fold_in: data is {data!r}, expected an integer in [0, 2**32) or a scalar integer tensor")
    return kept(tf.stack(threefry_2x32(key, (tf.cast(data, tf.uint32), tf.constant(_FOLD_IN, tf.uint32)))))


def bits(key: Key, shape: Shape = ()) -> tf.Tensor:
    """Independent uniform `uint32` words of the given shape."""
    return _words(key, (), as_sizes(shape))


def _words(key: Key, before: Sequence[Size], shape: Sequence[Size]) -> tf.Tensor:
    """Words `[*before, *shape]`; where devices share an axis of `shape`, a device's part of the words of all."""
    if (axis := shards.axis_of_rows(shape)) is not None:
        return _words_of_rows(key, (*before, *shape), len(before) + axis)
    shape = (*before, *shape)
    size = math.prod(shape)
    blocks = (size + 1) // 2
    counter = tf.cast(tf.range(blocks), tf.uint32)
    words = kept(tf.concat(threefry_2x32(key, (counter, tf.constant(_BITS, tf.uint32))), axis=0))
    return tf.reshape(words[:size], tuple(shape))


def _words_of_rows(key: Key, shape: Sequence[int], axis: int) -> tf.Tensor:
    """The words at a device's rows along an axis, of those that `bits` has for all devices."""
    numbers, rows = shards.row_numbers(shape[axis])
    whole = [*shape[:axis], rows, *shape[axis + 1 :]]
    place = tf.zeros(shape, tf.int32)  # among the words, row by row
    for index, size in enumerate(shape):
        along = numbers if index == axis else tf.range(size)
        stride = math.prod(whole[index + 1 :])
        place += tf.reshape(along * stride, [size, *[1] * (len(shape) - index - 1)])
    blocks = (math.prod(whole) + 1) // 2
    counter = tf.cast(tf.where(place < blocks, place, place - blocks), tf.uint32)
    first, second = threefry_2x32(key, (counter, tf.constant(_BITS, tf.uint32)))
    return kept(tf.where(place < blocks, first, second))


def uniform(key: Key, shape: Shape = (), low: Any = 0.0, high: Any = 1.0, dtype: tf.DType = tf.float32) -> tf.Tensor:
    """Uniform draws from [low, high).

    Args:
      key: `uint32[2]`.
      shape: the shape of the result.
      low: the lower bound, broadcast against `shape`.
      high: the upper bound, broadcast against `shape`.
      dtype: float32 (24 random bits), float64 (53), float16 (11) or bfloat16 (8).

    Returns:
      A tensor of `shape` and `dtype`.

    Raises:
      TypeError: for another dtype.
      ValueError: if `low` is above `high`.
    """
    dtype, shape = tf.as_dtype(dtype), as_sizes(shape)
    check_broadcasts("uniform", shape, low=low, high=high)
    check_order("uniform", low=low, high=high)
    if dtype == tf.float64:
        words = _words(key, (2,), shape)
        high_part = tf.cast(_shift_right(words[0], 5), tf.float64) * 2.0**26
        unit = (high_part + tf.cast(_shift_right(words[1], 6), tf.float64)) * 2.0**-53
    elif dtype in _MANTISSA_BITS:
        precision = _MANTISSA_BITS[dtype]
        integers = tf.cast(_shift_right(bits(key, shape), 32 - precision), tf.int32)
        unit = tf.cast(tf.cast(integers, tf.float32) * 2.0**-precision, dtype)
    else:
        raise TypeError(f"uniform: dtype is {dtype.name}, expected a floating-point type")
    if isinstance(low, float | int) and isinstance(high, float | int) and (low, high) == (0, 1):
        return unit
    # In float64 the product of the 24 random bits and a float32 range is exact, so the result does not
    # depend on whether a compiler fuses the product with the sum.
    low, high = (tf.cast(tf.cast(bound, dtype), tf.float64) for bound in (low, high))
    draws = tf.cast(low + tf.cast(unit, tf.float64) * (high - low), dtype)
    return tf.where(draws < tf.cast(high, dtype), draws, tf.cast(low, dtype))  # rounding can reach `high`


def normal(key: Key, shape: Shape = (), dtype: tf.DType = tf.float32) -> tf.Tensor:
    """Standard normal draws, through the inverse of the error function.

    Raises:
      TypeError: if `dtype` is not of floating-point numbers.
    """
    return tf.cast(_normal_of(_symmetric(key, shape, dtype)), dtype)


def truncated_normal(
    key: Key, shape: Shape = (), low: float = -2.0, high: float = 2.0, dtype: tf.DType = tf.float32
) -> tf.Tensor:
    """Standard normal draws, conditioned on [low, high].

    Raises:
      ValueError: if `low` is not below `high`.
    """
    if not low < high:
        raise ValueError(f"truncated_normal: low is {low} and high {high}, expected low < high")
    if low >= _TAIL or high <= -_TAIL:
        return tf.cast(_tail(key, shape, low, high, dtype), dtype)
    edges = [math.erf(bound / math.sqrt(2.0)) for bound in (low, high)]
    middle, half_width = (edges[0] + edges[1]) / 2, (edges[1] - edges[0]) / 2
    draws = _normal_of(middle + half_width * _symmetric(key, shape, dtype))
    return tf.cast(tf.clip_by_value(draws, low, high), dtype)


def randint(key: Key, shape: Shape, low: Any, high: Any, dtype: tf.DType = tf.int32) -> tf.Tensor:
    """Uniform integers from [low, high).

    Sixty-four random bits are scaled to the range, so no value is favoured by more than one part
    in 2**32.

    Args:
      key: `uint32[2]`.
      shape: the shape of the result.
      low: the smallest value, broadcast against `shape`.
      high: one more than the largest value; `high - low` must be in [1, 2**31).
      dtype: int32 or int64.

    Returns:
      A tensor of `shape` and `dtype`.

    Raises:
      TypeError: if a bound is no integer, or `dtype` none of integers.
      ValueError: if integers give an empty or too wide range.
    """
    for name, bound in (("low", low), ("high", high)):
        if not tf.as_dtype(getattr(bound, "dtype", None) or np.asarray(bound).dtype).is_integer:
            raise TypeError(f"randint: {name} is {bound!r}, expected an integer or a tensor of them")
    if not tf.as_dtype(dtype).is_integer:
        raise TypeError(f"randint: dtype is {tf.as_dtype(dtype).name}, expected int32 or int64")
    numbers = isinstance(low, int | np.integer) and isinstance(high, int | np.integer)
    if numbers and not 1 <= int(high) - int(low) < 2**31:
        raise ValueError(f"randint: the range is [{low}, {high}), expected 1 to 2**31 - 1 values")
    shape = as_sizes(shape)
    check_broadcasts("randint", shape, low=low, high=high)
    span = tf.cast(high, tf.int64) - tf.cast(low, tf.int64)
    words = tf.cast(_words(key, (2,), shape), tf.int64)
    carry = _shift_right(words[1] * span, 32)
    return tf.cast(tf.cast(low, tf.int64) + _shift_right(words[0] * span + carry, 32), dtype)


def bernoulli(key: Key, p: Any, shape: Shape | None = None) -> tf.Tensor:
    """Booleans that are true with probability `p`; `shape` is that of `p` unless given."""
    p = tf.convert_to_tensor(p, dtype_hint=tf.float32)
    shape = sizes_of(p) if shape is None else as_sizes(shape)
    check_broadcasts("bernoulli", shape, p=p)
    return uniform(key, shape, dtype=p.dtype) < p


def coins(key: Key, shape: Shape) -> tf.Tensor:
    """Fair booleans, 32 from each word, which makes many of them cheaper than `bernoulli` does."""
    shape = as_sizes(shape)
    rows = shards.of_rows(lambda whole: coins(key, whole), shape)
    if rows is not None:
        return rows
    size = math.prod(shape)
    words = bits(key, ((size + 31) // 32, 1))
    flips = tf.bitwise.bitwise_and(tf.bitwise.right_shift(words, tf.cast(tf.range(32), tf.uint32)), 1)
    return tf.reshape(tf.reshape(flips, [-1])[:size], tuple(shape)) == 1


def gumbel(key: Key, shape: Shape = (), dtype: tf.DType = tf.float32) -> tf.Tensor:
    """Standard Gumbel draws, -log(-log(u)) with u strictly between 0 and 1."""
    return tf.cast(-tf.math.log(-tf.math.log(_open_unit(key, shape, dtype))), dtype)


def categorical(key: Key, logits: tf.Tensor) -> tf.Tensor:
    """Draws an index along the last axis with probability softmax(logits).

    Args:
      key: `uint32[2]`.
      logits: `[..., A]`, unnormalised log-probabilities; -inf is never drawn.

    Returns:
      `int32[...]`.
    """
    logits = tf.convert_to_tensor(logits)
    # In bfloat16 the noise would be so coarse that ties, which go to the first index, were frequent.
    dtype = _compute_dtype(logits.dtype)
    return tf.argmax(tf.cast(logits, dtype) + gumbel(key, sizes_of(logits), dtype), axis=-1, output_type=tf.int32)


def gamma(key: Key, concentration: Any, shape: Shape | None = None) -> tf.Tensor:
    """Gamma draws of rate 1, by the rejection method of Marsaglia and Tsang (2000).

    "A simple method for generating gamma variables", with their boost for concentrations below 1.
    Each draw looks at eight proposals and takes the first that is accepted. At least 95% of proposals
    are, so that all eight fail with a probability below 3e-11, where the draw is close to the mode:
    far below what the 24 random bits of a float32 can tell from an exact draw.

    Args:
      key: `uint32[2]`.
      concentration: not negative, broadcast against `shape`; 0 gives 0. The draws have no gradient.
      shape: the shape of the result, that of `concentration` unless given.

    Returns:
      A tensor of `shape` and the dtype of `concentration`.
    """
    concentration = tf.convert_to_tensor(concentration, dtype_hint=tf.float32)
    shape = sizes_of(concentration) if shape is None else as_sizes(shape)
    check_broadcasts("gamma", shape, concentration=concentration)
    draws = tf.exp(_log_gamma(key, concentration, shape))
    return tf.cast(draws, concentration.dtype)


def dirichlet(key: Key, concentration: Any, shape: Shape | None = None) -> tf.Tensor:
    """Draws from Dirichlet distributions: each last axis sums to 1.

    Normalised gamma draws, in logarithms, so that small concentrations do not underflow. Entries of
    concentration 0 get weight 0, and the others are as if those did not exist.

    Args:
      key: `uint32[2]`.
      concentration: `[..., K]`, not negative, at least one entry positive; broadcast against `shape`.
      shape: the shape of the result, that of `concentration` unless given.

    Returns:
      A tensor of `shape` and the dtype of `concentration`.
    """
    concentration = tf.convert_to_tensor(concentration, dtype_hint=tf.float32)
    shape = sizes_of(concentration) if shape is None else as_sizes(shape)
    check_broadcasts("dirichlet", shape, concentration=concentration)
    logs = _log_gamma(key, concentration, shape)
    return tf.cast(tf.nn.softmax(logs), concentration.dtype)


def permutation(key: Key, num: int, shape: Shape = ()) -> tf.Tensor:
    """Independent random orders of 0 ... num - 1, `int32[*shape, num]`.

    By the swap-or-not shuffle: a sort of [4, 8192] takes XLA ten times as long on a CPU.

    Raises:
      ValueError: if num is not in [1, 2**31).
    """
    num = arguments.integer("permutation: num", num, 0)
    if not 1 <= num < 2**31:
        raise ValueError(f"permutation: num is {num}, expected 1 to 2**31 - 1")
    shape = as_sizes(shape)
    pivot_key, salt_key = tf.unstack(split(key))
    pivots = tf.cast(randint(pivot_key, (shuffle.rounds(num), *shape, 1), 0, num), tf.uint32)
    salts = bits(salt_key, (shuffle.rounds(num), *shape, 1))
    return tf.cast(shuffle.swap_or_not(pivots, salts, num), tf.int32)


_PROPOSALS = 8
_MANTISSA_BITS = {tf.float32: 24, tf.float16: 11, tf.bfloat16: 8}


def _checked(key: Key) -> Key:
    key = tf.convert_to_tensor(key)
    if key.dtype != tf.uint32 or key.shape != (2,):
        raise ValueError(
            f"a key is a uint32 tensor of shape (2,), given {key.dtype.name} {tuple(key.shape)}; "
            "make one with random.key(seed)"
        )
    return key


def _shift_right(word: tf.Tensor, distance: int) -> tf.Tensor:
    return tf.bitwise.right_shift(word, tf.constant(distance, word.dtype))


def _compute_dtype(dtype: tf.DType) -> tf.DType:
    if not tf.as_dtype(dtype).is_floating:
        raise TypeError(f"dtype is {tf.as_dtype(dtype).name}, expected a floating-point type")
    return tf.float64 if tf.as_dtype(dtype) == tf.float64 else tf.float32


def _symmetric(key: Key, shape: Shape, dtype: tf.DType) -> tf.Tensor:
    """Uniform on the open interval (-1, 1), symmetric about 0, in float32 or float64."""
    integers = 2 * tf.cast(_shift_right(bits(key, shape), 8), tf.int32) + (1 - 2**24)
    return tf.cast(integers, _compute_dtype(dtype)) * 2.0**-24


def _normal_of(symmetric: tf.Tensor) -> tf.Tensor:
    """The normal draw of which `symmetric`, in [-1, 1], is the error function of its quotient by the root of 2.

    By the negative half: without XLA, TensorFlow adds 1 first, and so the largest number below 1 is an infinite draw.
    """
    magnitude = tf.minimum(tf.abs(symmetric), 1 - 2.0**-24)  # where rounding made it larger
    return -tf.sign(symmetric) * math.sqrt(2.0) * tf.math.erfinv(-magnitude)


def _tail(key: Key, shape: Shape, low: float, high: float, dtype: tf.DType) -> tf.Tensor:
    """Truncated normal draws on one side of 0, by the probabilities beyond: those up to there are 1 after rounding."""
    near, far = sorted((abs(low), abs(high)))
    beyond_near, beyond_far = (math.erfc(bound / math.sqrt(2.0)) / 2 for bound in (near, far))
    unit = tf.cast(_open_unit(key, shape, dtype), tf.float64)
    draws = tf.clip_by_value(-tf.math.ndtri(beyond_far + (beyond_near - beyond_far) * unit), near, far)
    return draws if low > 0 else -draws


def _open_unit(key: Key, shape: Shape, dtype: tf.DType) -> tf.Tensor:
    """Uniform on the open interval (0, 1), symmetric about a half, in float32 or float64."""
    integers = tf.cast(_shift_right(bits(key, shape), 9), tf.int32)
    return tf.cast(2 * integers + 1, _compute_dtype(dtype)) * 2.0**-24


def _log_gamma(key: Key, concentration: tf.Tensor, shape: Sequence[Size]) -> tf.Tensor:
    """Logarithms of gamma draws, in float32 or float64."""
    dtype = _compute_dtype(concentration.dtype)
    concentration = tf.stop_gradient(tf.cast(concentration, dtype))
    below_one = concentration < 1
    d = tf.where(below_one, concentration + 1, concentration) - 1 / 3
    normal_key, uniform_key, boost_key = tf.unstack(split(key, 3))
    x = normal(normal_key, (_PROPOSALS, *shape), dtype)
    v = (1 + x / tf.sqrt(9 * d)) ** 3
    log_v = tf.math.log(tf.where(v > 0, v, tf.ones_like(v)))
    log_u = tf.math.log(_open_unit(uniform_key, (_PROPOSALS, *shape), dtype))
    accepted = (v > 0) & (log_u < 0.5 * tf.square(x) + d * (1 - v + log_v))
    first = tf.one_hot(tf.argmax(tf.cast(accepted, tf.int32), axis=0), _PROPOSALS, True, False, axis=0, dtype=tf.bool)
    log_v = tf.reduce_sum(tf.where(first, log_v, tf.zeros_like(log_v)), axis=0)
    boost = tf.math.log(_open_unit(boost_key, shape, dtype)) / concentration
    return tf.math.log(d) + log_v + tf.where(below_one, boost, tf.zeros_like(boost))
