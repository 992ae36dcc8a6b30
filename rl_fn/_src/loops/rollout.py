"""Agents in batches of environments: where they stand, and a rollout."""

from __future__ import annotations

from typing import Any, NamedTuple

import tensorflow as tf

from rl_fn import random, struct
from rl_fn._src.scan import scan
from rl_fn.agents.base import Agent, Mode
from rl_fn.envs.base import Env
from rl_fn.struct import Nest, Transition


class ActorsState(NamedTuple):
    """A batch of environments in mid-episode, and what acting in them carries along."""

    env: Nest
    observation: Nest  # [B, ...]: what the policy sees next
    actor: Nest  # the agent's own, reset where an episode begins
    episode_return: tf.Tensor  # float32[B]: of the episode so far
    episode_length: tf.Tensor  # int32[B]


class Episodes(NamedTuple):
    """Episodes that ended, by environment."""

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


def rollout(
    agent: Agent,
    env: Env,
    policy: Nest,
    actors: ActorsState,
    key: random.Key,
    length: int,
    mode: Mode = "train",
) -> tuple[ActorsState, tuple[Transition, Episodes]]:
    """Acts for `length` steps in every environment.

    Args:
      agent: whose `act` chooses.
      env: the environments.
      policy: the `policy` of an agent's state.
      actors: where the environments stand.
      key: `uint32[2]`.
      length: T, the number of steps.
      mode: "train", or "eval" with exploration off.

    Returns:
      Where the environments stand afterwards; the trajectory, a Transition with leading axes
      `[T, B]`; and the totals of the episodes that ended on the way.
    """

    def step(carry: tuple, keys: tf.Tensor) -> tuple[tuple, Transition]:
        actors, episodes = carry
        acted = agent.act(policy, actors.actor, actors.observation, keys[0], mode)
        env_state, outcome = env.step(actors.env, acted.action, keys[1])
        transition = Transition(
            observation=actors.observation,
            action=acted.action,
            reward=outcome.reward,
            terminated=outcome.terminated,
            truncated=outcome.truncated,
            next_observation=outcome.next_observation,
            extras=acted.extras,
        )
        actors, ended = advance(agent, actors, acted.actor_state, env_state, outcome.observation, transition)
        return (actors, tf.nest.map_structure(tf.add, episodes, ended)), transition

    num_envs = actors.episode_return.shape[0]
    none = Episodes(tf.zeros([num_envs], tf.int32), tf.zeros([num_envs]), tf.zeros([num_envs], tf.int32))
    keys = tf.reshape(random.split(key, 2 * length), [length, 2, 2])
    (actors, episodes), trajectory = scan(step, (actors, none), keys)
    return actors, (trajectory, episodes)


def advance(
    agent: Agent, actors: ActorsState, actor_state: Nest, env_state: Nest, observation: Nest, outcome: Any
) -> tuple[ActorsState, Episodes]:
    """Moves the actors one step on; returns also the episodes that ended with it."""
    is_last = outcome.terminated | outcome.truncated
    num_envs = is_last.shape[0]
    episode_return = actors.episode_return + outcome.reward
    episode_length = actors.episode_length + 1
    ended = Episodes(
        count=tf.cast(is_last, tf.int32),
        return_sum=tf.where(is_last, episode_return, 0.0),
        length_sum=tf.where(is_last, episode_length, 0),
    )
    advanced = ActorsState(
        env=env_state,
        observation=observation,
        actor=struct.where(is_last, agent.init_actor(num_envs), actor_state),
        episode_return=tf.where(is_last, 0.0, episode_return),
        episode_length=tf.where(is_last, 0, episode_length),
    )
    return advanced, ended
