"""A sweep in one program: learning rates times seeds of A2C, side by side as copies of one compiled step.

    python experiments/sweep.py

Whatever changes no shape may be a tensor, so each copy has a value of its own: here the learning rate, which is part of
what a copy carries from step to step. `rl-fn search` does the same with many trials, one after the other in each copy.
"""

import sys

import numpy as np
import tensorflow as tf

import rl_fn as rl

RATES, SEEDS = (1e-4, 1e-3, 1e-2, 1e-1), 2
env = rl.envs.make("CartPole-v1")
train_steps = int(sys.argv[1]) if sys.argv[1:] else 200_000


def hparams(rate):
    """All that is the same in all copies, and the learning rate."""
    return rl.agents.a2c.A2CHParams(num_envs=16, train_steps=train_steps, hidden_sizes=(64,), learning_rate=rate)


def step(copy):
    """One iteration of one copy: its learning rate and its state."""
    rate, state = copy
    agent = rl.agents.a2c.make(env.spec, hparams(rate))
    state, report = rl.loops.train_step(agent, env)(state)
    return (rate, state), report


anyone = rl.agents.a2c.make(env.spec, hparams(RATES[0]))  # what does not depend on the rate
keys = tf.stack([rl.random.key(seed) for _ in RATES for seed in range(SEEDS)])
states = rl.struct.stack([rl.loops.init_state(anyone, env, key) for key in keys])
compiled = rl.loops.compile_copies(step, (tf.repeat(tf.constant(RATES), SEEDS), states))
for chunk in rl.loops.train(compiled, hparams(RATES[0]).num_iterations):
    print(f"{chunk.iteration:>6,} iterations, returns {np.round(chunk.episodes.episode_return, 1)}")

judge = rl.loops.evaluate(anyone, env, num_episodes=20, copies=True)
returns = judge(compiled.read(lambda copy: copy[1].agent.policy), keys).returns.reshape(len(RATES), SEEDS, -1)
for rate, of_rate in zip(RATES, returns, strict=True):
    print(f"learning rate {rate:g}: evaluation returns of its seeds {of_rate.mean(axis=-1).round(1)}")
