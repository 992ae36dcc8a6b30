"""Munchausen DQN (Vieillard, Pietquin and Geist, 2020): DQN with a loss of one's own, and all that a run gives.

    python experiments/munchausen_dqn.py runs/munchausen

Checkpoints, TensorBoard and evaluations go to the folder; killed and started again, it goes on.
"""

import sys

import tensorflow as tf

import rl_fn as rl


def loss(q_values, params, target_params, sample, key, hparams):
    """The loss of `rl_fn.agents.dqn`, with the policy's own log-probability as a part of the reward."""
    batch = sample.items
    error = rl.losses.munchausen_q_learning(
        q_values(params, batch.observation),
        batch.action,
        batch.reward,
        batch.discount,
        q_values(target_params, batch.next_observation),
        q_values(target_params, batch.observation),
    )
    value = tf.reduce_mean(sample.weights * rl.losses.huber_loss(error))
    return value, rl.learning.Learned({"loss": value}, priorities=tf.abs(error))


env = rl.envs.make("CartPole-v1")
hparams = rl.agents.dqn.DQNHParams(train_steps=int(sys.argv[2]) if sys.argv[2:] else 100_000)
agent = rl.agents.dqn.make(env.spec, hparams, loss=loss)
for report in rl.runs.Run(agent, env, sys.argv[1], hparams=hparams, checkpoint_seconds=1.0):
    print(f"{report.env_steps:>9,} steps, return {report.metrics['episode_return']:.1f}")
