"""A data set: steps of a half-trained PPO are recorded, and IQL (Kostrikov et al., 2021) learns from them.

    python experiments/offline.py runs/offline

Each run has a folder there, and goes on where it was broken off. Any program can write a data set: a folder of arrays.
"""

import sys
from pathlib import Path

import rl_fn as rl

folder = Path(sys.argv[1])
teacher_steps, recorded_steps, gradient_steps = map(int, sys.argv[2:] or (20_000, 50_000, 20_000))


def train(name, train_steps, **settings):
    """Trains a named set of hyper-parameters, and gives its last evaluation's mean return."""
    config = rl.runs.RunConfig(name, folder / name, train_steps=train_steps, eval_episodes=20, **settings)
    run = rl.runs.Run.from_config(config)
    for report in run:
        if report.evaluation is not None:
            print(f"{name}: {report.env_steps:>7,} steps, return {report.evaluation.returns.mean():.1f}")
    return run.summary["eval_return_mean"]


train("ppo_cartpole", teacher_steps)
data = folder / "data"
if not data.exists():  # sampled as in training, so that there are better and worse actions in every state
    print(
        f"mean return in the data: {rl.runs.datasets.record(folder / 'ppo_cartpole', data, steps=recorded_steps):.1f}"
    )
learned = train("iql_cartpole", gradient_steps, dataset=str(data))
print(f"IQL from the data: {learned:.1f}")
