"""What the games share: the actions, the parts of a game, and the environment made of them."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import numpy as np
import tensorflow as tf
from gymnasium import spaces

from rl_fn import random
from rl_fn.envs.base import Env, auto_reset
from rl_fn.envs.compiled.minatar import grid
from rl_fn.envs.drawing.grids import Color, draw_channels
from rl_fn.struct import EnvSpec, Nest

NOOP, LEFT, UP, RIGHT, DOWN, FIRE = ACTIONS = tuple(range(6))


class Game(NamedTuple):
    name: str
    channels: dict[str, Color]  # what the channels show, and how it is drawn
    minimal_actions: tuple[int, ...]  # those that have an effect
    start: Callable[[random.Key, int], Nest]  # (key, batch_size) -> state
    num_draws: int  # random numbers that a step takes
    decide: Callable[[tf.Tensor], Nest]  # uniform on [0, 1), float32[B, num_draws] -> the random decisions of a step
    # (state, action, decisions, ramping) -> (state, reward int32[B], terminated); actions are those of ACTIONS
    dynamics: Callable[[Nest, tf.Tensor, Nest, bool], tuple[Nest, tf.Tensor, tf.Tensor]]
    observe: Callable[[Nest], tf.Tensor]  # state -> bool[B, 10, 10, channels]


class StickyState(NamedTuple):
    game: Nest
    last_action: tf.Tensor  # int32[B]: the one that was carried out, NOOP where an episode begins


def assemble(
    game: Game,
    name: str,
    actions: tuple[int, ...],
    sticky_action_prob: float,
    difficulty_ramping: bool,
    max_episode_steps: int | None,
) -> Env:
    """Makes the environment of a game; the arguments are those of `rl_fn.envs.compiled.minatar.make`."""
    spec = EnvSpec(
        name=name,
        observation_space=spaces.Box(0.0, 1.0, [grid.SIZE, grid.SIZE, len(game.channels)], bool),
        action_space=spaces.Discrete(len(actions)),
        max_episode_steps=max_episode_steps,
    )
    return auto_reset(
        spec,
        start=partial(start, game=game),
        dynamics=partial(
            dynamics,
            game=game,
            actions=actions,
            sticky_action_prob=sticky_action_prob,
            difficulty_ramping=difficulty_ramping,
        ),
        observe=partial(observe, game=game),
        render=partial(render, game=game),
    )


def start(key: random.Key, batch_size: int, *, game: Game) -> StickyState:
    """States in which no action was carried out yet."""
    return StickyState(game.start(key, batch_size), tf.fill([batch_size], NOOP))


def dynamics(
    state: StickyState,
    action: tf.Tensor,
    key: random.Key,
    *,
    game: Game,
    actions: tuple[int, ...],
    sticky_action_prob: float,
    difficulty_ramping: bool,
) -> tuple[StickyState, tf.Tensor, tf.Tensor]:
    """One step under `int[B]` indices of `actions`."""
    # One draw for all decisions of a step, that on stickiness first.
    uniform = random.uniform(key, [action.shape[0], 1 + game.num_draws])
    chosen = tf.gather(tf.constant(actions), tf.cast(action, tf.int32))
    carried_out = tf.where(uniform[:, 0] < sticky_action_prob, state.last_action, chosen)
    successor, reward, terminated = game.dynamics(
        state.game, carried_out, game.decide(uniform[:, 1:]), difficulty_ramping
    )
    return StickyState(successor, carried_out), tf.cast(reward, tf.float32), terminated


def observe(state: StickyState, *, game: Game) -> tf.Tensor:
    """The screen, `bool[B, 10, 10, channels]`."""
    return game.observe(state.game)


def render(state: StickyState, *, game: Game) -> np.ndarray:
    """The screen in colours."""
    batch = tf.nest.map_structure(lambda leaf: tf.convert_to_tensor(leaf)[tf.newaxis], state.game)
    return draw_channels(game.observe(batch)[0].numpy(), list(game.channels.values()))


def towards(action: tf.Tensor, negative: int, positive: int) -> tf.Tensor:
    """The move `int32[B]`: -1 under one action, 1 under the other, 0 under all others."""
    return tf.cast(action == positive, tf.int32) - tf.cast(action == negative, tf.int32)


def direction(is_positive: tf.Tensor) -> tf.Tensor:
    """1 where true and -1 elsewhere, `int32`."""
    return tf.where(is_positive, 1, -1)


def no_decisions(uniform: tf.Tensor) -> tuple[()]:
    """For games without chance."""
    del uniform
    return ()
