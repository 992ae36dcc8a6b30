"""Wrappers of observations: normalised, stacked, flattened, one-hot, masked."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal, NamedTuple

import gymnasium
import numpy as np
import tensorflow as tf
from gymnasium import spaces

from rl_fn import random, struct
from rl_fn.envs.base import Env, EnvStep
from rl_fn.normalization import RunningMoments
from rl_fn.struct import Nest


class NormalizedObservationState(NamedTuple):
    inner: Nest  # the environment's own
    moments: RunningMoments  # of all observations of the whole batch; no batch axis


class StackedState(NamedTuple):
    inner: Nest  # the environment's own
    stack: tf.Tensor  # [B, ...]: the observation


def normalize_observation(
    env: Env, *, clip: float | None = 10.0, epsilon: float = 1e-8, moments: RunningMoments | None = None
) -> Env:
    """Shifts and scales observations to mean 0 and variance 1, by running moments of what the policy saw.

    The true successor at the end of an episode is normalised like the others and not counted, since the policy
    does not see it.

    Args:
      env: the environment; its observations are a Box, or a Dict or Tuple of them. Floating-point ones keep
        their dtype, others become float32.
      clip: the largest absolute value, or None.
      epsilon: added to the variance.
      moments: frozen ones, such as `state.moments` of training, to be applied as they are.

    Raises:
      ValueError: if a part of the observation is not a Box, or a number is not in its range.
    """
    if clip is not None and not clip > 0:
        raise ValueError(f"normalize_observation: clip is {clip}, expected a positive number or None")
    if not epsilon > 0:
        raise ValueError(f"normalize_observation: epsilon is {epsilon}, expected a positive number")
    space = _normalized_space(env.spec.observation_space, np.inf if clip is None else clip)
    observation_spec = struct.space_spec(env.spec.observation_space)

    def reset(key: random.Key, batch_size: int) -> tuple[NormalizedObservationState, Nest]:
        inner, observation = env.reset(key, batch_size)
        current = RunningMoments.init(observation_spec).update(observation) if moments is None else moments
        return NormalizedObservationState(inner, current), current.normalize(observation, clip, epsilon)

    def step(
        state: NormalizedObservationState, action: Nest, key: random.Key
    ) -> tuple[NormalizedObservationState, EnvStep]:
        inner, outcome = env.step(state.inner, action, key)
        current = state.moments.update(outcome.observation) if moments is None else state.moments
        outcome = outcome._replace(
            observation=current.normalize(outcome.observation, clip, epsilon),
            next_observation=current.normalize(outcome.next_observation, clip, epsilon),
        )
        return NormalizedObservationState(inner, current), outcome

    render = env.render
    return Env(env.spec._replace(observation_space=space), reset, step, render and (lambda state: render(state.inner)))


def frame_stack(
    env: Env, num_frames: int, *, stack_axis: int = -1, padding: Literal["first", "zeros"] = "first"
) -> Env:
    """Shows the last observations of the episode together, oldest first, along a new axis.

    Mnih et al. (2015), "Human-level control", Methods. `replay.frames` keeps such observations with each frame
    stored once; the arguments have the same meaning there.

    Args:
      env: the environment; its observations are a Box.
      num_frames: how many.
      stack_axis: the new axis of an observation.
      padding: what is before the first frame of an episode, that frame or zeros.

    Raises:
      ValueError: if the observation is not a Box, or an argument is not in its range.
    """
    space = env.spec.observation_space
    if not isinstance(space, spaces.Box):
        raise ValueError(f"frame_stack: the observation is {space}, expected a Box; flatten_observation makes one")
    if isinstance(num_frames, bool) or not isinstance(num_frames, int | np.integer) or num_frames < 1:
        raise ValueError(f"frame_stack: num_frames is {num_frames!r}, expected an integer of at least 1")
    rank = len(space.shape) + 1
    if not -rank <= stack_axis < rank:
        raise ValueError(f"frame_stack: stack_axis is {stack_axis}, expected -{rank} to {rank - 1}")
    if padding not in ("first", "zeros"):
        raise ValueError(f"frame_stack: padding is {padding!r}, expected 'first' or 'zeros'")
    axis = 1 + stack_axis % rank  # behind the batch axis
    low, high = space.low, space.high
    if padding == "zeros":
        low, high = np.minimum(low, 0), np.maximum(high, 0)
    low, high = (np.stack([bound] * num_frames, axis - 1) for bound in (low, high))

    def begin(frame: tf.Tensor) -> tf.Tensor:
        before = frame if padding == "first" else tf.zeros_like(frame)
        return tf.stack([*[before] * (num_frames - 1), frame], axis)

    def push(stack: tf.Tensor, frame: tf.Tensor) -> tf.Tensor:
        newest = stack[(slice(None),) * axis + (slice(1, None),)]
        return tf.concat([newest, tf.expand_dims(frame, axis)], axis)

    def reset(key: random.Key, batch_size: int) -> tuple[StackedState, tf.Tensor]:
        inner, observation = env.reset(key, batch_size)
        stack = begin(observation)
        return StackedState(inner, stack), stack

    def step(state: StackedState, action: Nest, key: random.Key) -> tuple[StackedState, EnvStep]:
        inner, outcome = env.step(state.inner, action, key)
        successor = push(state.stack, outcome.next_observation)
        is_last = outcome.terminated | outcome.truncated
        stack = struct.where(is_last, begin(outcome.observation), successor)
        return StackedState(inner, stack), outcome._replace(observation=stack, next_observation=successor)

    render = env.render
    return Env(
        env.spec._replace(observation_space=spaces.Box(low, high, dtype=space.dtype)),
        reset,
        step,
        render and (lambda state: render(state.inner)),
    )


def flatten_observation(env: Env) -> Env:
    """Makes one vector of an observation: in the order of `gymnasium.spaces.flatten`, discrete parts one-hot.

    Args:
      env: the environment. The vector has the dtype of the Boxes in its observation, float32 where there are none.
    """
    space = env.spec.observation_space
    boxes = _box_dtypes(space)
    dtype = np.result_type(*boxes) if boxes else np.dtype(np.float32)
    flat: Any = spaces.flatten_space(space)
    return _map_observations(
        env,
        spaces.Box(flat.low.astype(dtype), flat.high.astype(dtype), dtype=dtype.type),
        lambda observation: tf.concat(_vectors(space, observation, tf.as_dtype(dtype)), axis=-1),
    )


def one_hot_observation(env: Env) -> Env:
    """Makes a one-hot float32 vector of a Discrete observation, and one behind the other of a MultiDiscrete one.

    Raises:
      ValueError: if the observation is neither.
    """
    space = env.spec.observation_space
    if not isinstance(space, spaces.Discrete | spaces.MultiDiscrete):
        raise ValueError(f"one_hot_observation: the observation is {space}, expected Discrete or MultiDiscrete")
    return flatten_observation(env)


def mask_observation(env: Env, keep: Sequence[int] | Sequence[str]) -> Env:
    """Hides a part of the observation, which makes a task partially observable.

    Args:
      env: the environment.
      keep: of a Box the indices along the last axis; the others read zero, so that the shape stays. Of a Dict
        the names; the others are left out.

    Raises:
      ValueError: if there is nothing to keep, a name or an index is not there or there twice, or the observation is
        neither a Box nor a Dict.
    """
    space, kept = env.spec.observation_space, list(keep)
    match space:
        case spaces.Dict():
            known: list = list(space.spaces)
        case spaces.Box() if space.shape:
            known = list(range(space.shape[-1]))
        case _:
            raise ValueError(f"mask_observation: the observation is {space}, expected a Dict or a Box with an axis")
    if not kept or len(set(kept)) < len(kept) or not set(kept) <= set(known):
        raise ValueError(f"mask_observation: keep is {kept}, expected some of {known}, each once")
    if isinstance(space, spaces.Dict):
        parts = {name: part for name, part in space.spaces.items() if name in kept}
        return _map_observations(env, spaces.Dict(parts), lambda x: {name: x[name] for name in parts})
    shown = np.array([index in kept for index in known])
    low, high = (
        np.where(shown, bound, edge)
        for bound, edge in ((space.low, np.minimum(space.low, 0)), (space.high, np.maximum(space.high, 0)))
    )
    return _map_observations(
        env, spaces.Box(low, high, dtype=space.dtype), lambda x: tf.where(shown, x, tf.zeros_like(x))
    )


def _map_observations(env: Env, space: gymnasium.Space, function: Callable[[Nest], Nest]) -> Env:
    def reset(key: random.Key, batch_size: int) -> tuple[Nest, Nest]:
        state, observation = env.reset(key, batch_size)
        return state, function(observation)

    def step(state: Nest, action: Nest, key: random.Key) -> tuple[Nest, EnvStep]:
        state, outcome = env.step(state, action, key)
        observation, successor = function(outcome.observation), function(outcome.next_observation)
        return state, outcome._replace(observation=observation, next_observation=successor)

    return env._replace(spec=env.spec._replace(observation_space=space), reset=reset, step=step)


def _normalized_space(space: gymnasium.Space, bound: float) -> gymnasium.Space:
    match space:
        case spaces.Dict():
            return spaces.Dict({name: _normalized_space(part, bound) for name, part in space.spaces.items()})
        case spaces.Tuple():
            return spaces.Tuple([_normalized_space(part, bound) for part in space.spaces])
        case spaces.Box():
            dtype = space.dtype if np.issubdtype(space.dtype, np.floating) else np.dtype(np.float32)
            return spaces.Box(-bound, bound, space.shape, dtype.type)
    raise ValueError(f"normalize_observation: a part of the observation is {space}, expected a Box")


def _box_dtypes(space: gymnasium.Space) -> list[np.dtype]:
    match space:
        case spaces.Dict():
            return [dtype for part in space.spaces.values() for dtype in _box_dtypes(part)]
        case spaces.Tuple():
            return [dtype for part in space.spaces for dtype in _box_dtypes(part)]
        case spaces.Box():
            return [np.dtype(space.dtype)]
    return []


def _vectors(space: gymnasium.Space, x: Nest, dtype: tf.DType) -> list[tf.Tensor]:
    """The parts `[B, n]` of a flattened observation, in the order of the space."""
    match space:
        case spaces.Dict():
            return [v for name, part in space.spaces.items() for v in _vectors(part, x[name], dtype)]
        case spaces.Tuple():
            return [v for part, y in zip(space.spaces, x, strict=True) for v in _vectors(part, y, dtype)]
        case spaces.Discrete():
            return [tf.one_hot(x - int(space.start), int(space.n), dtype=dtype)]
        case spaces.MultiDiscrete():
            columns = tf.unstack(tf.reshape(x, [x.shape[0], space.nvec.size]), axis=-1)
            ranges = zip(columns, space.start.flat, space.nvec.flat, strict=True)
            return [tf.one_hot(column - int(start), int(n), dtype=dtype) for column, start, n in ranges]
    return [tf.reshape(tf.cast(x, dtype), [x.shape[0], x.shape[1:].num_elements()])]
