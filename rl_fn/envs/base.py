"""The protocol of compiled environments."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import gymnasium
import numpy as np
import tensorflow as tf
from gymnasium import spaces

from rl_fn import random, struct
from rl_fn._src import arguments, shards
from rl_fn._src.keyed import all_from_key
from rl_fn._src.spaces import counts_from_zero, from_zero
from rl_fn.struct import EnvSpec, Nest


class EnvStep(NamedTuple):
    """What a step of a compiled environment gives."""

    observation: Nest  # [B, ...]: what the policy sees next, the first one of a new episode at an end
    reward: tf.Tensor  # float32[B]
    terminated: tf.Tensor  # bool[B]: the task ended
    truncated: tf.Tensor  # bool[B]: the time limit was reached
    next_observation: Nest  # [B, ...]: the true successor


class Env(NamedTuple):
    """A batch of environments as pure functions; those whose episode ends start again by themselves."""

    spec: EnvSpec
    reset: Callable[[random.Key, int], tuple[Nest, Nest]]  # (key, batch_size) -> (env_state, observation)
    step: Callable[[Nest, tf.Tensor, random.Key], tuple[Nest, EnvStep]]  # (env_state, action, key)
    # The state of one environment, as NumPy arrays without the batch axis -> a picture uint8[H, W, 3]
    render: Callable[[Nest], np.ndarray] | None = None
    # Where a policy is judged, if that is elsewhere: without what wrappers change for the sake of learning only
    evaluation: Env | None = None


class TimedState(NamedTuple):
    """The state of an environment made by `auto_reset`."""

    inner: Nest  # the dynamics' own state, leaves [B, ...]
    time: tf.Tensor  # int32[B]: steps taken in this episode


def judged(env: Env) -> Env:
    """The environment in which evaluations and films play: `env.evaluation` where there is one, else `env`."""
    return env if env.evaluation is None else env.evaluation


def auto_reset(
    spec: EnvSpec,
    start: Callable[[random.Key, int], Nest],
    dynamics: Callable[[Nest, tf.Tensor, random.Key], tuple[Nest, tf.Tensor, tf.Tensor]],
    observe: Callable[[Nest], Nest],
    render: Callable[[Nest], np.ndarray] | None = None,
) -> Env:
    """Makes an environment of its dynamics: adds the time limit and the start of new episodes.

    Where the spaces of `spec` do not count from 0, `dynamics` gets actions and `observe` gives observations as they
    count, and the environment is that of `count_from_zero`.

    Args:
      spec: its specification; `max_episode_steps` is the time limit.
      start: `(key, batch_size) -> state`, where episodes begin.
      dynamics: `(state, action, key) -> (state, reward float32[B], terminated bool[B])`.
      observe: `state -> observation`.
      render: `state -> picture`, for one state as NumPy arrays.

    Raises:
      ValueError: for a time limit that is no positive integer; by its step, if the actions do not have the shape of the
        action space after the batch axis; by `reset` or `step` for states, observations, rewards or terminations of
        another structure, shape or dtype than expected; and where `start` or `dynamics` draws random numbers that are
        not from its key.
    """
    if spec.max_episode_steps is not None:
        arguments.integer(f"{spec.name}: max_episode_steps", spec.max_episode_steps, 1)
    observation_spec, action_spec = (
        struct.space_spec(from_zero(space)) for space in (spec.observation_space, spec.action_space)
    )

    def begin(key: random.Key, batch_size: int) -> Nest:
        with all_from_key(f"{spec.name}: start"):
            inner = start(key, batch_size)
        _check_start(spec.name, inner, batch_size)
        return inner

    def reset(key: random.Key, batch_size: int) -> tuple[TimedState, Nest]:
        inner = begin(key, batch_size)
        observation = observe(inner)
        check_observation(spec.name, observation, observation_spec, batch_size)
        return TimedState(inner, tf.zeros([batch_size], tf.int32)), observation

    def step(state: TimedState, action: tf.Tensor, key: random.Key) -> tuple[TimedState, EnvStep]:
        action = as_actions(spec.name, action, action_spec, state.time.shape[0])
        start_key, dynamics_key = tf.unstack(random.split(key))
        with all_from_key(f"{spec.name}: dynamics"):
            given = dynamics(state.inner, action, dynamics_key)
        if not isinstance(given, tuple | list) or len(given) != 3:
            what = f"{len(given)} values" if isinstance(given, tuple | list) else f"a {type(given).__name__}"
            raise ValueError(f"{spec.name}: dynamics gives {what}, expected (state, reward, terminated)")
        successor, reward, terminated = given
        _check_successor(spec.name, successor, state.inner)
        time = state.time + 1
        # A reward `[B, 1]` would broadcast too.
        reward = _checked(f"{spec.name}: the reward", reward, tf.TensorSpec(time.shape, tf.float32))
        terminated = _checked(f"{spec.name}: terminated", terminated, tf.TensorSpec(time.shape, tf.bool))
        timed_out = time >= spec.max_episode_steps if spec.max_episode_steps else tf.zeros_like(terminated)
        done = terminated | timed_out
        inner = struct.where(done, begin(start_key, shards.rows(time.shape[0])), successor)
        outcome = EnvStep(observe(inner), reward, terminated, timed_out, observe(successor))
        return TimedState(inner, tf.where(done, 0, time)), outcome

    return count_from_zero(Env(spec, reset, step, render and (lambda state: render(state.inner))))


def count_from_zero(env: Env) -> Env:
    """The environment with all Discrete and MultiDiscrete parts of its spaces counted from 0, as agents want it."""
    observed, acted = env.spec.observation_space, env.spec.action_space
    if counts_from_zero(observed) and counts_from_zero(acted):
        return env

    def reset(key: random.Key, batch_size: int) -> tuple[Nest, Nest]:
        state, observation = env.reset(key, batch_size)
        return state, _shifted(observed, observation, -1)

    def step(state: Nest, action: Nest, key: random.Key) -> tuple[Nest, EnvStep]:
        state, outcome = env.step(state, _shifted(acted, action, 1), key)
        return state, outcome._replace(
            observation=_shifted(observed, outcome.observation, -1),
            next_observation=_shifted(observed, outcome.next_observation, -1),
        )

    spec = env.spec._replace(observation_space=from_zero(observed), action_space=from_zero(acted))
    evaluation = env.evaluation and count_from_zero(env.evaluation)
    return env._replace(spec=spec, reset=reset, step=step, evaluation=evaluation)


def _shifted(space: gymnasium.Space, x: Nest, sign: int) -> Nest:
    """Adds the starts of the discrete parts, or takes them off."""
    match space:
        case spaces.Dict():
            return {name: _shifted(part, x[name], sign) for name, part in space.spaces.items()}
        case spaces.Tuple():
            return tuple(_shifted(part, y, sign) for part, y in zip(space.spaces, x, strict=True))
        case spaces.Discrete() | spaces.MultiDiscrete() if np.any(space.start):
            x = tf.convert_to_tensor(x)
            return x + tf.constant(sign * np.asarray(space.start, np.int64), x.dtype)
    return x


def as_actions(name: str, action: Nest, spec: Nest, batch_size: int) -> Nest:
    """A batch of actions as tensors; raises ValueError unless they are as `spec`, that of one of them, says.

    Of another shape they would broadcast, floats would be rounded or be no action, and nothing would fail.
    """
    one = isinstance(spec, tf.TensorSpec)  # so a list is numbers, and no nest
    action = tf.convert_to_tensor(action) if one else tf.nest.map_structure(tf.convert_to_tensor, action)
    given = tf.nest.map_structure(lambda leaf: tuple(leaf.shape), action)
    expected = tf.nest.map_structure(lambda leaf: (batch_size, *leaf.shape), spec)
    if given != expected:
        raise ValueError(f"{name}: the actions have shape {given}, expected {expected}")
    for leaf, each in zip(tf.nest.flatten(action), tf.nest.flatten(spec), strict=True):
        if each.dtype.is_integer and not leaf.dtype.is_integer:
            raise ValueError(f"{name}: the actions are {leaf.dtype.name}, expected integers")
    return action


def _check_start(name: str, state: Nest, batch_size: int) -> None:
    for path, leaf in struct.named_leaves(state):
        shape = tf.convert_to_tensor(leaf).shape
        if not shape[:1].is_compatible_with([batch_size]):
            what = f"{name}: start gives {path or 'a state'} of shape {tuple(shape)}"
            raise ValueError(f"{what} for {batch_size} environments, expected ({batch_size}, ...)")


def _check_successor(name: str, successor: Nest, state: Nest) -> None:
    """Of another kind it could not take the place of the state before it."""
    given, expected = (dict(struct.named_leaves(nest)) for nest in (successor, state))
    try:
        tf.nest.assert_same_structure(successor, state)
    except (TypeError, ValueError):
        there, wanted = (
            f"a {type(nest).__name__} of {', '.join(leaves)}"
            for nest, leaves in ((successor, given), (state, expected))
        )
        raise ValueError(f"{name}: the state after a step is {there}, expected {wanted} as before it") from None
    for path, leaf in given.items():
        leaf, before = tf.convert_to_tensor(leaf), tf.convert_to_tensor(expected[path])
        if leaf.dtype != before.dtype or not leaf.shape.is_compatible_with(before.shape):
            what = f"{name}: {path or 'the state'} is {leaf.dtype.name}{leaf.shape.as_list()} after a step"
            raise ValueError(f"{what}, expected {before.dtype.name}{before.shape.as_list()} as before it")


def check_observation(name: str, observation: Nest, spec: Nest, batch_size: int) -> None:
    """Raises ValueError unless a batch of observations is as `spec`, that of one of them, says."""
    batched = tf.nest.map_structure(lambda leaf: tf.TensorSpec([batch_size, *leaf.shape], leaf.dtype), spec)
    try:
        tf.nest.assert_same_structure(observation, batched)
    except (TypeError, ValueError):
        raise ValueError(f"{name}: the observation is {observation}, its space says {batched}") from None
    tf.nest.map_structure(lambda leaf, each: _checked(f"{name}: an observation", leaf, each), observation, batched)


def _checked(label: str, value: Any, spec: tf.TensorSpec) -> tf.Tensor:
    value = tf.convert_to_tensor(value)
    if value.shape != spec.shape or value.dtype != spec.dtype:
        raise ValueError(
            f"{label} is {value.dtype.name}{value.shape.as_list()}, expected {spec.dtype.name}{spec.shape.as_list()}"
        )
    return value
