"""An agent that compiles in no time: it counts, and remembers all that it saw in one number."""

from typing import NamedTuple

import tensorflow as tf

from rl_fn import random
from rl_fn.agents.base import ActorStep, Agent, Schedule


class State(NamedTuple):
    policy: tf.Tensor  # int32[]: updates so far
    digest: tf.Tensor  # float32[]: of all trajectories and keys


def agent(num_envs=2, rollout_length=4):
    """Acts at random; its metric `seen` is the mean reward."""

    def act(policy, actor_state, observation, key, mode):
        del policy, mode
        return ActorStep(random.randint(key, [observation.shape[0]], 0, 2), actor_state, {})

    def update(state, trajectory, key):
        seen = tf.reduce_mean(trajectory.reward) + tf.reduce_mean(tf.cast(trajectory.action, tf.float32))
        return State(state.policy + 1, 0.9 * state.digest + seen + random.uniform(key)), {"seen": seen}

    return Agent(
        schedule=Schedule(num_envs, rollout_length),
        init=lambda key: State(tf.constant(0), random.uniform(key)),
        init_actor=lambda batch_size: (),
        act=act,
        update=update,
    )
