"""Trains PPO in an environment of Gymnasium, stepped on the host, and exports the policy.

    python experiments/train_and_export.py runs/served

`experiments/serve.py` serves what is then in runs/served/exported. An environment of your own takes the place of
CartPole with `gymnasium.register`, or `rl.envs.gymnasium_env(make, num_envs=8)` of a function that makes one.
"""

import sys
from pathlib import Path

import rl_fn as rl

folder = Path(sys.argv[1])
train_steps = int(sys.argv[2]) if sys.argv[2:] else 100_000
hparams = rl.agents.ppo.PPOHParams(num_envs=8, rollout_length=64, train_steps=train_steps, learning_rate=1e-3)
env = rl.envs.make("gymnasium:CartPole-v1", num_envs=hparams.num_envs)
agent = rl.agents.ppo.make(env.spec, hparams)
for report in rl.runs.Run(agent, env, folder, hparams=hparams, eval_episodes=8):
    if report.evaluation is not None:
        print(f"{report.env_steps:>9,} steps, return {report.evaluation.returns.mean():.1f}")
learned = rl.runs.load(folder, agent=agent, env=env, checkpoint="best")
rl.runs.export(learned, folder / "exported", forms=("saved_model",))
env.close()
