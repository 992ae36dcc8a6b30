"""REINFORCE (Williams, 1992), written from its three functions: an agent of one's own with all that a run gives.

    python experiments/own_agent.py runs/own_agent

Checkpoints, TensorBoard and evaluations go to the folder; killed and started again, it goes on.
"""

import sys
from typing import Any, NamedTuple

import tensorflow as tf

import rl_fn as rl
from rl_fn.agents.base import ActorStep, Agent, Schedule, stateless

env = rl.envs.make("CartPole-v1")
network, optimizer = rl.networks.mlp((64, env.spec.action_space.n)), rl.optimizers.adam(3e-3)


class State(NamedTuple):
    """What an update changes."""

    policy: Any  # parameters: all that acting needs
    opt_state: Any


def init(key):
    """The state at the start."""
    params = network.init(key, tf.TensorSpec(env.spec.observation_space.shape, tf.float32))
    return State(params, optimizer.init(params))


def act(policy, actor_state, observation, key, mode):
    """Actions for a batch of observations, without chance in evaluation."""
    logits = network.apply(policy, observation)
    action = rl.policies.greedy(key, logits) if mode == "eval" else rl.random.categorical(key, logits)
    return ActorStep(action, actor_state, {})


def loss(params, trajectory):
    """Log-probabilities weighted by what came after, `[T, B]`, in units of its deviation."""
    zeros = tf.zeros_like(trajectory.reward)
    discount = tf.where(trajectory.is_last, 0.0, 0.99)
    returns = rl.returns.discounted_returns(trajectory.reward, discount, zeros)
    weight = (returns - tf.reduce_mean(returns)) / (tf.math.reduce_std(returns) + 1e-8)
    logits = network.apply(params, trajectory.observation)
    log_prob = rl.policies.categorical(logits).log_prob(trajectory.action)
    value = -tf.reduce_mean(tf.stop_gradient(weight) * log_prob)
    return value, {"loss": value}


def update(state, trajectory, key):
    """One gradient step on a rollout."""
    trained, metrics = rl.learning.minimise(
        lambda params: loss(params, trajectory), optimizer, rl.learning.Trained(*state)
    )
    return State(*trained), metrics


agent = Agent(Schedule(num_envs=16, rollout_length=128), init, stateless, act, update)
train_steps = int(sys.argv[2]) if sys.argv[2:] else 300_000
for report in rl.runs.Run(agent, env, sys.argv[1], train_steps=train_steps):
    print(f"{report.env_steps:>9,} steps, return {report.metrics['episode_return']:.1f}")
