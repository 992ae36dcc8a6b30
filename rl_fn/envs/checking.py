"""What is wrong with a compiled environment of one's own, before anything is trained in it."""

from __future__ import annotations

from typing import NamedTuple

import gymnasium
import numpy as np
import tensorflow as tf
from gymnasium import spaces

from rl_fn import random, struct
from rl_fn._src import arguments
from rl_fn._src.xla.calls import graph
from rl_fn.envs.base import Env, EnvStep, check_observation
from rl_fn.struct import Nest


class Checked(NamedTuple):
    """What was seen of an environment that was found right."""

    steps: int
    episodes: int  # that ended
    lowest_reward: float
    highest_reward: float
    lowest_observation: float
    highest_observation: float


def check(env: Env, steps: int = 200, batch_size: int = 4, seed: int = 0) -> Checked:
    """Plays in a compiled environment with actions at random, and refuses what would spoil a training later.

    Each step is taken twice in the compiled program and must come to the same: what is drawn from `np.random`, a
    generator of one's own or `tf.random`, and what Python keeps between steps, does not.

    Args:
      env: from `auto_reset`, or by hand.
      steps: how many, of each environment.
      batch_size: how many environments are stepped side by side.
      seed: of the actions and of the environments.

    Returns:
      What was seen, such as how large rewards are: those far from 1 want to be scaled.

    Raises:
      TypeError: for something else than a compiled environment; those of Gymnasium have
        `gymnasium.utils.env_checker.check_env`.
      ValueError: in one sentence, for shapes and dtypes that are not those of the spaces, observations outside of
        their space, infinity and NaN, steps that are no function of state, action and key, and pictures that are none.
    """
    if not isinstance(env, Env):
        raise TypeError(
            f"check takes a compiled environment, given a {type(env).__name__}; those of Gymnasium are checked by "
            "gymnasium.utils.env_checker.check_env"
        )
    steps, batch_size = arguments.integer("steps", steps, 1), arguments.integer("batch_size", batch_size, 1)
    name = env.spec.name
    space, spec = env.spec.observation_space, struct.space_spec(env.spec.observation_space)
    env.spec.action_space.seed(seed)

    twice = graph(lambda *inputs: (env.step(*inputs), env.step(*inputs)), jit_compile=True)
    state, observation = env.reset(random.key(seed), batch_size)
    rewards, episodes, seen = [], 0, [_seen(name, space, spec, observation, batch_size, "after its reset")]
    _, other = env.reset(random.key(seed), batch_size + 1)  # one written for so many environments alone is found here
    seen.append(_seen(name, space, spec, other, batch_size + 1, f"after a reset of {batch_size + 1}"))
    for step in range(steps):
        where = f"in step {step + 1}"
        actions = [env.spec.action_space.sample() for _ in range(batch_size)]
        action = tf.nest.map_structure(lambda *each: tf.convert_to_tensor(np.stack(each)), *actions)
        (state, outcome), again = twice(state, action, random.fold_in(random.key(seed), step))
        _check_same(name, (state, outcome), again, where)
        _check_outcome(name, outcome, batch_size, where)
        seen += [
            _seen(name, space, spec, each, batch_size, where)
            for each in (outcome.observation, outcome.next_observation)
        ]
        rewards.append(outcome.reward.numpy())
        episodes += int(np.count_nonzero(outcome.terminated | outcome.truncated))
    picture = _picture(env, state)
    if picture is not None and (picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[-1] != 3):
        raise ValueError(f"{name}: a picture is {picture.dtype}{list(picture.shape)}, expected uint8[H, W, 3]")
    lowest, highest = (
        float(choose(bounds)) for choose, bounds in zip((min, max), zip(*seen, strict=True), strict=True)
    )
    return Checked(steps * batch_size, episodes, float(np.min(rewards)), float(np.max(rewards)), lowest, highest)


def _picture(env: Env, state: Nest) -> np.ndarray | None:
    """One environment as it is drawn; None where it is not, or what draws it is not installed."""
    if env.render is None:
        return None
    try:
        return np.asarray(env.render(tf.nest.map_structure(lambda leaf: leaf.numpy()[0], state)))
    except ModuleNotFoundError:
        return None


def _check_same(name: str, one: Nest, other: Nest, where: str) -> None:
    for (path, first), (_, second) in zip(struct.named_leaves(one), struct.named_leaves(other), strict=True):
        # The same operations on the same numbers are one for XLA, so there is no rounding to allow for.
        if not np.array_equal(first, second, equal_nan=first.dtype.is_floating):
            part = path.partition("/")[2]
            raise ValueError(
                f"{name}: {part} {where} differs between two calls with the same state, action and key; all that is "
                "random must be drawn from the key, and all that is kept be in the state"
            )


def _check_outcome(name: str, outcome: EnvStep, batch_size: int, where: str) -> None:
    for label, dtype in (("reward", tf.float32), ("terminated", tf.bool), ("truncated", tf.bool)):
        given = getattr(outcome, label)
        if given.shape != [batch_size] or given.dtype != dtype:
            shape = f"{given.dtype.name}{given.shape.as_list()}"
            raise ValueError(f"{name}: {label} is {shape}, expected {dtype.name}[{batch_size}]")
    if not np.isfinite(outcome.reward).all():
        raise ValueError(f"{name}: a reward {where} is {outcome.reward.numpy()}, expected finite numbers")


def _seen(
    name: str, space: gymnasium.Space, spec: Nest, observation: Nest, batch_size: int, where: str
) -> tuple[float, float]:
    """The lowest and the highest number of a batch of observations, which must be of their space."""
    check_observation(name, observation, spec, batch_size)
    leaves = [np.asarray(leaf, np.float64) for leaf in tf.nest.flatten(observation)]
    for index in range(batch_size):
        one = tf.nest.map_structure(lambda leaf, index=index: leaf.numpy()[index], observation)
        if not all(np.isfinite(leaf[index]).all() for leaf in leaves):
            raise ValueError(f"{name}: an observation {where} is {one}, expected finite numbers")
        if not _contains(space, one):
            raise ValueError(f"{name}: an observation {where} is {one}, which is not in its space {space}")
    return min(leaf.min() for leaf in leaves), max(leaf.max() for leaf in leaves)


def _contains(space: gymnasium.Space, one: Nest) -> bool:
    """Whether an observation is within the bounds of a space, to rounding."""
    match space:
        case spaces.Dict():
            return all(_contains(part, one[name]) for name, part in space.spaces.items())
        case spaces.Tuple():
            return all(_contains(part, each) for part, each in zip(space.spaces, one, strict=True))
        case spaces.Box() if space.dtype.kind == "f":
            return bool(np.all((one >= space.low - 1e-4) & (one <= space.high + 1e-4)))
        case spaces.Discrete():
            return bool(space.start <= one < space.start + space.n)
        case spaces.MultiDiscrete():
            return bool(np.all((one >= space.start) & (one < space.start + space.nvec)))
    return bool(space.contains(one))
