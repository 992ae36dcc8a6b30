"""Wrappers of observations: normalised, stacked, flattened, one-hot, masked."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal, NamedTuple

import gymnasium
import numpy as np
import tensorflow as tf
from gymnasium import spaces

from rl_fn import random, struct
from rl_fn._src import arguments
from rl_fn.envs.base import Env, EnvStep
from rl_fn.envs.wrappers.base import changes_task
from rl_fn.normalization import RunningMoments
from rl_fn.struct import Nest


class StackedState(NamedTuple):
    inner: Nest  # the environment's own
    stack: tf.Tensor  # [B, ...]: the observation


@changes_task
def normalize_observation(
    env: Env, moments: RunningMoments, *, clip: float | None = 10.0, epsilon: float = 1e-8
) -> Env:
    """Shifts and scales observations by moments that stay as they are, and so are the same wherever a policy is judged.

    Moments that are learned along the way belong to the agent, whose policy fits no others: PPO has them with
    `normalize_observations=True`.

    Args:
      env: the environment; its observations are a Box, or a Dict or Tuple of them. Floating-point ones keep
        their dtype, others become float32.
      moments: of observations, such as those of random episodes.
      clip: the largest absolute value, or None.
      epsilon: added to the variance.

    Raises:
      ValueError: if a part of the observation is not a Box, the moments are of other observations, or a number is not
        in its range.
    """
    if clip is not None and not clip > 0:
        raise ValueError(f"normalize_observation: clip is {clip}, expected a positive number or None")
    if not epsilon > 0:
        raise ValueError(f"normalize_observation: epsilon is {epsilon}, expected a positive number")
    space = _normalized_space(env.spec.observation_space, np.inf if clip is None else clip)
    expected = tf.nest.map_structure(lambda leaf: tuple(leaf.shape), struct.space_spec(env.spec.observation_space))
    given = tf.nest.map_structure(lambda leaf: tuple(leaf.shape), moments.mean)
    if given != expected:
        raise ValueError(f"normalize_observation: the moments have shape {given}, expected {expected}")
    return _map_observations(env, space, lambda observation: moments.normalize(observation, clip, epsilon))


@changes_task
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
    num_frames = arguments.integer("frame_stack: num_frames", num_frames, 1)
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


@changes_task
def flatten_observation(env: Env) -> Env:
    """Makes one vector of an observation: in the order of `gymnasium.spaces.flatten`, discrete parts one-hot.

    Args:
      env: the environment. The vector has the dtype of the Boxes in its observation, float32 where there are none.
    """
    space = env.spec.observation_space
    struct.space_spec(space)  # refuses one that does not count from 0
    boxes = _box_dtypes(space)
    dtype = np.result_type(*boxes) if boxes else np.dtype(np.float32)
    flat: Any = spaces.flatten_space(space)
    return _map_observations(
        env,
        spaces.Box(flat.low.astype(dtype), flat.high.astype(dtype), dtype=dtype.type),
        lambda observation: tf.concat(_vectors(space, observation, tf.as_dtype(dtype)), axis=-1),
    )


@changes_task
def one_hot_observation(env: Env) -> Env:
    """Makes a one-hot float32 vector of a Discrete observation, and one behind the other of a MultiDiscrete one.

    Raises:
      ValueError: if the observation is neither.
    """
    space = env.spec.observation_space
    if not isinstance(space, spaces.Discrete | spaces.MultiDiscrete):
        raise ValueError(f"one_hot_observation: the observation is {space}, expected Discrete or MultiDiscrete")
    return flatten_observation(env)


@changes_task
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
            return [tf.one_hot(x, int(space.n), dtype=dtype)]
        case spaces.MultiDiscrete():
            columns = tf.unstack(tf.reshape(x, [x.shape[0], space.nvec.size]), axis=-1)
            return [tf.one_hot(x, int(n), dtype=dtype) for x, n in zip(columns, space.nvec.flat, strict=True)]
    return [tf.reshape(tf.cast(x, dtype), [x.shape[0], x.shape[1:].num_elements()])]
