"""The shared structs, and small helpers for nests of tensors."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple, TypeAlias

import gymnasium
import numpy as np
import tensorflow as tf
from gymnasium import spaces

from rl_fn._src.shapes import sizes_of
from rl_fn._src.spaces import counts_from_zero
from rl_fn._src.xla.autograph import leave_alone

leave_alone("rl_fn")

Nest: TypeAlias = Any  # a tensor, or tuples, NamedTuples and dicts of nests
Scalar: TypeAlias = float | tf.Tensor


class Transition(NamedTuple):
    """One step of experience, or a time-major segment of it with leading axes `[T, B]`.

    `next_observation` is the true successor, never the first observation of the next episode.
    """

    observation: Nest  # [...], as the environment's specification says
    action: tf.Tensor  # [...]
    reward: tf.Tensor  # float32[]
    terminated: tf.Tensor  # bool[]: the task ended; nothing follows
    truncated: tf.Tensor  # bool[]: the episode was cut; `next_observation` still has a value
    next_observation: Nest
    extras: dict[str, tf.Tensor]  # what the actor computed: log-probability, value, ...

    @property
    def is_last(self) -> tf.Tensor:
        """Where the episode ends, for either reason: traces and recurrent states are cut here."""
        return self.terminated | self.truncated

    @property
    def is_first(self) -> tf.Tensor:
        """Where an episode begins inside a segment, `[T, B]`: false in the first row, whatever came before it."""
        return tf.concat([tf.zeros_like(self.is_last[:1]), self.is_last[:-1]], axis=0)

    def discount(self, gamma: float | tf.Tensor) -> tf.Tensor:
        """The weight of the value of `next_observation`: `gamma`, and 0 where the task ended."""
        return gamma * (1.0 - tf.cast(self.terminated, self.reward.dtype))


class Mean(NamedTuple):
    """A metric that is not reported at every update: the mean of what there is to report.

    Sums over updates are taken of both; where `count` is 0 there is nothing to report, which is not the same as NaN.
    """

    total: tf.Tensor  # float32[]
    count: tf.Tensor  # float32[]


Metrics: TypeAlias = dict[str, tf.Tensor | Mean]  # by name; a scalar is a mean of one


class Model(NamedTuple):
    """The rules of an environment, for agents that plan with them; all of it for batches."""

    # observation [B, ...] -> state: observations that say all there is to know
    state: Callable[[Nest], Nest]
    # state -> observation
    observe: Callable[[Nest], Nest]
    # state -> bool[B, A]: at least one in each row
    valid_actions: Callable[[Nest], tf.Tensor]
    # (state, action, key) -> (state, reward float32[B] of who moved, terminated bool[B])
    step: Callable[[Nest, tf.Tensor, tf.Tensor], tuple[Nest, tf.Tensor, tf.Tensor]]


class EnvSpec(NamedTuple):
    """What an agent may know of an environment."""

    name: str
    observation_space: gymnasium.Space
    action_space: gymnasium.Space
    max_episode_steps: int | None = None  # episodes are truncated here
    reward_threshold: float | None = None  # the return at which the task counts as solved
    render_fps: float | None = None  # pictures per second, where it is known
    model: Model | None = None  # its rules, where agents may plan with them
    num_players: int = 1  # of two, who move in turns, one wins what the other loses, 1 at most


def space_spec(space: gymnasium.Space) -> Nest:
    """The nest of `tf.TensorSpec` that one element of a space has.

    Args:
      space: a Box, Discrete, MultiDiscrete, MultiBinary, Dict or Tuple space of Gymnasium. Discrete parts count from 0
        where agents are concerned: `rl_fn.envs.border` and `rl_fn.envs.count_from_zero` see to that.

    Raises:
      TypeError: for any other space.
      ValueError: if a part counts from elsewhere.
    """
    if not counts_from_zero(space):
        raise ValueError(
            f"{space} does not count from 0: rl_fn.envs.border, or rl_fn.envs.count_from_zero for a compiled "
            "environment, makes it do so"
        )
    match space:
        case spaces.Dict():
            return {name: space_spec(part) for name, part in space.spaces.items()}
        case spaces.Tuple():
            return tuple(space_spec(part) for part in space.spaces)
        case spaces.Box() | spaces.MultiDiscrete() | spaces.MultiBinary():
            return tf.TensorSpec(space.shape, tf.as_dtype(np.dtype(space.dtype)))
        case spaces.Discrete():
            return tf.TensorSpec((), tf.int32)
    raise TypeError(
        f"space {space} of {type(space).__module__} is not supported: expected Box, Discrete, MultiDiscrete, "
        "MultiBinary, Dict or Tuple of Gymnasium; rl_fn.envs.border makes these of Gym's"
    )


def stack(nests: Sequence[Nest]) -> Nest:
    """Stacks nests of the same structure along a new first axis."""
    # Converted one by one, because a list of NumPy scalars becomes a tensor of another dtype.
    return tf.nest.map_structure(lambda *leaves: tf.stack([tf.convert_to_tensor(leaf) for leaf in leaves]), *nests)


def concat(nests: Sequence[Nest]) -> Nest:
    """Joins nests of the same structure along their first axis."""
    return tf.nest.map_structure(lambda *leaves: tf.concat(leaves, axis=0), *nests)


def at(nest: Nest, index: Any) -> Nest:
    """`leaf[index]` of every leaf."""
    return tf.nest.map_structure(lambda leaf: leaf[index], nest)


def where(condition: tf.Tensor, on_true: Nest, on_false: Nest) -> Nest:
    """Chooses between two nests of the same shapes; `condition` `[...]` is the leading part of every leaf's.

    Raises:
      ValueError: if the shapes do not fit.
    """
    condition = tf.convert_to_tensor(condition)
    leading = condition.shape.rank

    def choose(yes: tf.Tensor, no: tf.Tensor) -> tf.Tensor:
        if not (yes.shape.is_compatible_with(no.shape) and yes.shape[:leading].is_compatible_with(condition.shape)):
            raise ValueError(
                f"where: leaves have shapes {tuple(yes.shape)} and {tuple(no.shape)}, expected the same, beginning "
                f"with that of condition, {tuple(condition.shape)}"
            )
        missing = yes.shape.rank - leading
        return tf.where(tf.reshape(condition, [*sizes_of(condition), *[1] * missing]), yes, no)

    return tf.nest.map_structure(choose, on_true, on_false)


def named_leaves(nest: Nest, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yields each leaf with its path, such as `agent/params/policy/layer_0/kernel`."""
    if isinstance(nest, dict):
        parts: Any = [(str(name), nest[name]) for name in sorted(nest)]
    elif isinstance(nest, tuple) and hasattr(nest, "_fields"):
        parts = zip(nest._fields, nest, strict=True)
    elif isinstance(nest, tuple | list):
        parts = [(str(index), part) for index, part in enumerate(nest)]
    else:
        yield prefix, nest
        return
    for name, part in parts:
        yield from named_leaves(part, f"{prefix}/{name}" if prefix else name)


def value_and_gradient(
    function: Callable[[Nest], tuple[tf.Tensor, Nest]], params: Nest
) -> tuple[tuple[tf.Tensor, Nest], Nest]:
    """Evaluates `loss, metrics = function(params)` and the gradient of the loss.

    Args:
      function: returns `(loss, metrics)`, a scalar and a nest of whatever else it has to say.
      params: a nest of floating-point tensors.

    Returns:
      `(loss, metrics)`, and a nest of gradients with the structure of `params`, zero where a
      parameter has no effect.

    Raises:
      TypeError: if a parameter is no floating-point tensor, or the function gives something else than a pair of such a
        loss and metrics.
      ValueError: if the loss has axes: its gradient would be that of the sum over them.
    """
    for path, leaf in named_leaves(params):
        if not (tf.is_tensor(leaf) and leaf.dtype.is_floating):
            given = leaf.dtype.name if tf.is_tensor(leaf) else f"a {type(leaf).__name__}"
            raise TypeError(f"params: {path or 'the parameter'} is {given}, expected a floating-point tensor")
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        tape.watch(tf.nest.flatten(params))
        answer: Any = function(params)
        if not (isinstance(answer, tuple) and len(answer) == 2):
            raise TypeError(f"the loss function gives a {type(answer).__name__}, expected (loss, metrics)")
        loss, metrics = answer
        if not (tf.is_tensor(loss) and loss.dtype.is_floating):
            given = loss.dtype.name if tf.is_tensor(loss) else f"a {type(loss).__name__}"
            raise TypeError(f"the loss is {given}, expected a floating-point tensor")
        if loss.shape.rank:
            raise ValueError(f"the loss has shape {tuple(loss.shape)}, expected one number, such as its tf.reduce_mean")
    leaves = tape.gradient(loss, tf.nest.flatten(params), unconnected_gradients=tf.UnconnectedGradients.ZERO)
    return (loss, metrics), tf.nest.pack_sequence_as(params, leaves)
