"""Agents that learn nothing, and show what the loops do with them."""

from __future__ import annotations

from typing import NamedTuple

import tensorflow as tf

from rl_fn import random
from rl_fn.agents.base import ActorStep, Agent, Schedule


class Version(NamedTuple):
    """A state that shows which policy acted where, and what was seen."""

    policy: tf.Tensor  # int32[]: updates so far
    acted: tf.Tensor  # int32[]: the last action of the newest trajectory
    digest: tf.Tensor  # float32[]: of all trajectories and keys
    cuts: tf.Tensor  # int32[]


def versions(num_envs=2, rollout_length=4, actor_lag=0) -> Agent:
    """Acts its version; carries the number of steps since its actor state began."""

    def act(policy, actor_state, observation, key, mode):
        action = tf.fill([actor_state.shape[0]], policy)
        if mode == "eval":
            return ActorStep(action, actor_state + 1, {})
        return ActorStep(action, actor_state + 1, {"steps": actor_state, "noise": random.uniform(key, action.shape)})

    def update(state, trajectory, key):
        observations = [tf.reduce_mean(tf.cast(x, tf.float32)) for x in tf.nest.flatten(trajectory.observation)]
        seen = tf.add_n(observations) + tf.reduce_mean(trajectory.extras["noise"])
        digest = 0.9 * state.digest + seen + random.uniform(key)
        acted = trajectory.action[-1, 0]
        after = state._replace(policy=state.policy + 1, acted=acted, digest=digest)
        return after, {"acted": tf.cast(acted, tf.float32)}

    return Agent(
        schedule=Schedule(num_envs, rollout_length, actor_lag),
        init=lambda key: Version(tf.constant(0), tf.constant(-1), tf.constant(0.0), tf.constant(0)),
        init_actor=lambda batch_size: tf.zeros([batch_size], tf.int32),
        act=act,
        update=update,
        cut=lambda state: state._replace(cuts=state.cuts + 1),
    )


def saying(metrics, num_envs=2, rollout_length=4) -> Agent:
    """Reports `metrics(updates so far)`."""
    agent = versions(num_envs, rollout_length)

    def update(state, trajectory, key):
        return agent.update(state, trajectory, key)[0], metrics(state.policy)

    return agent._replace(update=update)
