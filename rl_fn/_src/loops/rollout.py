"""Agents in batches of compiled environments: where they stand, a step, and a rollout."""

from __future__ import annotations

from typing import NamedTuple

import tensorflow as tf

from rl_fn import random, struct
from rl_fn._src import shards
from rl_fn._src.loops import answers
from rl_fn._src.scan import scan
from rl_fn.agents.base import Agent, Mode
from rl_fn.envs.base import Env, EnvStep
from rl_fn.struct import Nest, Transition


class ActorsState(NamedTuple):
    """A batch of environments in mid-episode, and what acting in them carries along."""

    env: Nest
    observation: Nest  # [B, ...]: what the policy sees next
    actor: Nest  # the agent's own, reset where an episode begins
    episode_return: tf.Tensor  # float32[B]: of the episode so far
    episode_length: tf.Tensor  # int32[B]


class Episodes(NamedTuple):
    """Episodes that ended: by environment, or their totals in float32."""

    count: tf.Tensor  # int32[B]
    return_sum: tf.Tensor  # float32[B]
    length_sum: tf.Tensor  # int32[B]


def init_actors(agent: Agent, env: Env, num_envs: int, key: random.Key) -> ActorsState:
    """Resets `num_envs` environments and the agent's actor state for them."""
    env_state, observation = env.reset(key, num_envs)
    return ActorsState(
        env=env_state,
        observation=observation,
        actor=agent.init_actor(num_envs),
        episode_return=tf.zeros([num_envs]),
        episode_length=tf.zeros([num_envs], tf.int32),
    )


def act_and_step(
    agent: Agent, env: Env, policy: Nest, actors: ActorsState, keys: tf.Tensor, mode: Mode
) -> tuple[ActorsState, Transition, Episodes]:
    """Acts once in every environment.

    Args:
      agent: whose `act` chooses.
      env: the environments.
      policy: the `policy` of an agent's state.
      actors: where the environments stand.
      keys: `uint32[2, 2]`: a key for acting, and one for the environments.
      mode: "train", or "eval" with exploration off.

    Returns:
      Where the environments stand afterwards; what happened, a Transition with the leading axis `[B]`; and the
      episodes that ended with it.

    Raises:
      ValueError: if the environment's rewards or ends are anything but one per environment.
      TypeError: if the agent gives something else than an ActorStep.
    """
    num_envs = actors.episode_return.shape[0]
    with shards.rows_of(num_envs):
        acted = answers.acted(agent, policy, actors.actor, actors.observation, keys[0], mode)
        env_state, outcome = env.step(actors.env, acted.action, keys[1])
    _check_outcome(env.spec.name, outcome, num_envs)
    transition = Transition(
        observation=actors.observation,
        action=acted.action,
        reward=outcome.reward,
        terminated=outcome.terminated,
        truncated=outcome.truncated,
        next_observation=outcome.next_observation,
        extras=acted.extras,
    )
    is_last = transition.is_last
    episode_return = actors.episode_return + outcome.reward
    episode_length = actors.episode_length + 1
    ended = Episodes(
        count=tf.cast(is_last, tf.int32),
        return_sum=tf.where(is_last, episode_return, 0.0),
        length_sum=tf.where(is_last, episode_length, 0),
    )
    advanced = ActorsState(
        env=env_state,
        observation=outcome.observation,
        actor=struct.where(is_last, agent.init_actor(num_envs), acted.actor_state),
        episode_return=tf.where(is_last, 0.0, episode_return),
        episode_length=tf.where(is_last, 0, episode_length),
    )
    return advanced, transition, ended


def rollout(
    agent: Agent,
    env: Env,
    policy: Nest,
    actors: ActorsState,
    key: random.Key,
    length: int | None = None,
    mode: Mode = "train",
) -> tuple[ActorsState, tuple[Transition, Episodes]]:
    """Acts for a number of steps in every environment.

    Args:
      agent: whose `act` chooses.
      env: the environments.
      policy: the `policy` of an agent's state.
      actors: where the environments stand.
      key: `uint32[2]`.
      length: T, the number of steps; that of the agent's schedule unless given.
      mode: "train", or "eval" with exploration off.

    Returns:
      Where the environments stand afterwards; the trajectory, a Transition with leading axes
      `[T, B]`; and the totals of the episodes that ended on the way, by environment.

    Raises:
      ValueError: as `act_and_step`.
    """
    length = agent.schedule.rollout_length if length is None else length

    def step(carry: tuple, keys: tf.Tensor) -> tuple[tuple, Transition]:
        actors, episodes = carry
        actors, transition, ended = act_and_step(agent, env, policy, actors, keys, mode)
        return (actors, tf.nest.map_structure(tf.add, episodes, ended)), transition

    num_envs = actors.episode_return.shape[0]
    none = Episodes(tf.zeros([num_envs], tf.int32), tf.zeros([num_envs]), tf.zeros([num_envs], tf.int32))
    keys = tf.reshape(random.split(key, 2 * length), [length, 2, 2])
    (actors, episodes), trajectory = scan(step, (actors, none), keys)
    return actors, (trajectory, episodes)


def _check_outcome(name: str, outcome: EnvStep, num_envs: int) -> None:
    """Of another shape they would broadcast, and nothing would fail."""
    expected = {"reward": tf.float32, "terminated": tf.bool, "truncated": tf.bool}
    for field, dtype in expected.items():
        given = getattr(outcome, field)
        if given.dtype != dtype or given.shape != [num_envs]:
            raise ValueError(
                f"{name}: its step gives {field} {given.dtype.name} {tuple(given.shape)}, "
                f"expected {dtype.name} ({num_envs},)"
            )
