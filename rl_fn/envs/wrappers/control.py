"""Wrappers of time and actions: a shorter time limit, sticky actions, repeated actions."""

from __future__ import annotations

from typing import NamedTuple

import tensorflow as tf

from rl_fn import random, struct
from rl_fn._src import arguments, shards
from rl_fn.envs.base import Env, EnvStep, TimedState, as_actions
from rl_fn.envs.wrappers.base import changes_task
from rl_fn.struct import Nest


class StickyState(NamedTuple):
    inner: Nest  # the environment's own
    action: Nest  # [B, ...]: executed last
    is_first: tf.Tensor  # bool[B]: whether the episode has just begun, so that there is none


@changes_task
def time_limit(env: Env, max_episode_steps: int) -> Env:
    """Truncates episodes earlier than the environment does.

    Args:
      env: the environment.
      max_episode_steps: the new limit, at most the environment's own.

    Raises:
      ValueError: if the limit is not in that range; by `reset`, if the environment shares moments over the batch.
    """
    own = env.spec.max_episode_steps
    max_episode_steps = arguments.integer("time_limit: max_episode_steps", max_episode_steps, 1)
    if own is not None and max_episode_steps > own:
        raise ValueError(
            f"time_limit: max_episode_steps is {max_episode_steps}, expected 1 to {own}, the limit of {env.spec.name}"
        )

    def reset(key: random.Key, batch_size: int) -> tuple[TimedState, Nest]:
        inner, observation = env.reset(key, batch_size)
        _require_batch_axes("time_limit", inner, batch_size)
        return TimedState(inner, tf.zeros([batch_size], tf.int32)), observation

    def step(state: TimedState, action: Nest, key: random.Key) -> tuple[TimedState, EnvStep]:
        step_key, reset_key = tf.unstack(random.split(key))
        inner, outcome = env.step(state.inner, action, step_key)
        time = state.time + 1
        timed_out = time >= max_episode_steps
        begun = outcome.terminated | outcome.truncated
        # Where the environment has not begun a new episode by itself.
        fresh, first = env.reset(reset_key, shards.rows(time.shape[0]))
        cut = timed_out & ~begun
        outcome = outcome._replace(
            observation=struct.where(cut, first, outcome.observation), truncated=outcome.truncated | timed_out
        )
        return TimedState(struct.where(cut, fresh, inner), tf.where(begun | timed_out, 0, time)), outcome

    render = env.render
    return Env(
        env.spec._replace(max_episode_steps=max_episode_steps),
        reset,
        step,
        render and (lambda state: render(state.inner)),
    )


@changes_task
def sticky_actions(env: Env, probability: float = 0.25) -> Env:
    """Executes the action before in place of the one given, with some probability.

    Machado et al. (2018), "Revisiting the Arcade Learning Environment", section 4.1. The first action of an
    episode is always executed.

    Args:
      env: the environment.
      probability: of executing the action executed before, in [0, 1].

    Raises:
      ValueError: if the probability is not in that range.
    """
    if not 0 <= probability <= 1:
        raise ValueError(f"sticky_actions: probability is {probability}, expected a number in [0, 1]")
    action_spec = struct.space_spec(env.spec.action_space)

    def reset(key: random.Key, batch_size: int) -> tuple[StickyState, Nest]:
        inner, observation = env.reset(key, batch_size)
        none = tf.nest.map_structure(lambda leaf: tf.zeros([batch_size, *leaf.shape], leaf.dtype), action_spec)
        return StickyState(inner, none, tf.fill([batch_size], True)), observation

    def step(state: StickyState, action: Nest, key: random.Key) -> tuple[StickyState, EnvStep]:
        sticky_key, step_key = tf.unstack(random.split(key))
        action = as_actions(env.spec.name, action, action_spec, state.is_first.shape[0])
        action = tf.nest.map_structure(lambda x, leaf: tf.cast(x, leaf.dtype), action, action_spec)
        sticks = random.bernoulli(sticky_key, probability, state.is_first.shape) & ~state.is_first
        executed = struct.where(sticks, state.action, action)
        inner, outcome = env.step(state.inner, executed, step_key)
        return StickyState(inner, executed, outcome.terminated | outcome.truncated), outcome

    render = env.render
    return Env(env.spec, reset, step, render and (lambda state: render(state.inner)))


@changes_task
def action_repeat(env: Env, num_repeats: int) -> Env:
    """Executes each action several times and adds up the rewards; stops where the episode ends.

    Args:
      env: the environment. Its time limit counts its own steps, the one in the new specification actions.
      num_repeats: how many steps of the environment an action lasts.

    Raises:
      ValueError: if that is less than 1; by `reset`, if the environment shares moments over the batch.
    """
    num_repeats = arguments.integer("action_repeat: num_repeats", num_repeats, 1)
    own = env.spec.max_episode_steps

    def reset(key: random.Key, batch_size: int) -> tuple[Nest, Nest]:
        state, observation = env.reset(key, batch_size)
        _require_batch_axes("action_repeat", state, batch_size)
        return state, observation

    def step(state: Nest, action: Nest, key: random.Key) -> tuple[Nest, EnvStep]:
        first_key, *keys = tf.unstack(random.split(key, num_repeats))
        state, outcome = env.step(state, action, first_key)
        for repeat_key in keys:
            over = outcome.terminated | outcome.truncated
            next_state, following = env.step(state, action, repeat_key)
            following = following._replace(reward=outcome.reward + following.reward)
            state, outcome = struct.where(over, (state, outcome), (next_state, following))
        return state, outcome

    limit = own and -(-own // num_repeats)
    return Env(env.spec._replace(max_episode_steps=limit), reset, step, env.render)


def _require_batch_axes(wrapper: str, state: Nest, batch_size: int) -> None:
    """Checks that the state can be chosen for each environment by itself."""
    for name, leaf in struct.named_leaves(state):
        if leaf.shape.rank == 0 or leaf.shape[0] != batch_size:
            raise ValueError(
                f"{wrapper}: `{name}` of the state has shape {tuple(leaf.shape)}, expected a batch axis of "
                f"{batch_size}; put {wrapper} inside of normalize_reward"
            )
