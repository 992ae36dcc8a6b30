"""Q-learning with one number per place and action."""

import dataclasses
from typing import NamedTuple

import tensorflow as tf

from rl_fn import losses, policies, struct
from rl_fn.agents.base import ActorStep, Agent
from rl_fn.agents.hparams import HParams, field


@dataclasses.dataclass(frozen=True)
class LinearQHParams(HParams):
    """The hyper-parameters."""

    step_size: float = field(0.1, "How far a gradient step goes.", above=0.0)
    epsilon: float = field(0.3, "Probability of a random action.", low=0.0, high=1.0)


class State(NamedTuple):
    """The agent's state; its policy is the table [places, actions]."""

    policy: tf.Tensor


def make(spec: struct.EnvSpec, hparams: LinearQHParams) -> Agent:
    """Makes the agent."""
    shape = [*spec.observation_space.shape, spec.action_space.n]

    def act(policy, actor_state, observation, key, mode):
        epsilon = 0.0 if mode == "eval" else hparams.epsilon
        return ActorStep(policies.epsilon_greedy(key, observation @ policy, epsilon), actor_state, {})

    def loss(policy, steps):
        q_tm1, q_t = (tf.linalg.matmul(x, policy) for x in (steps.observation, steps.next_observation))
        error = losses.q_learning(q_tm1, steps.action, steps.reward, steps.discount(hparams.gamma), q_t)
        return tf.reduce_mean(losses.l2_loss(error)), ()

    def update(state, trajectory, key):
        del key
        steps = tf.nest.map_structure(lambda x: tf.reshape(x, [-1, *x.shape[2:]]), trajectory)
        (value, _), gradient = struct.value_and_gradient(lambda policy: loss(policy, steps), state.policy)
        return State(state.policy - hparams.step_size * gradient), {"loss": value}

    return Agent(hparams.schedule, lambda key: State(tf.zeros(shape)), lambda batch_size: (), act, update)
