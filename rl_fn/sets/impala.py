"""Sets for `rl_fn.agents.impala`."""

from rl_fn.sets.registry import register

register(
    "impala",
    agent="impala",
    doc="IMPALA with its defaults, for any environment.",
)

register(
    "impala_cartpole",
    agent="impala",
    env="CartPole-v1",
    values={"train_steps": 500_000, "num_envs": 8, "rollout_length": 5, "learning_rate": 7e-4, "max_grad_norm": 0.5},
    doc="IMPALA on CartPole, with actors one update behind.",
)

register(
    "impala_catch",
    agent="impala",
    env="Catch-bsuite",
    values={"train_steps": 50_000, "num_envs": 8, "rollout_length": 9, "learning_rate": 2e-3, "actor_lag": 0},
    doc="IMPALA on Catch, with actors at the learner's side.",
)
