"""Sets for `rl_fn.agents.crossq`."""

from rl_fn.sets.registry import register

register(
    "crossq",
    agent="crossq",
    doc="CrossQ with its defaults, for a bounded Box.",
)

register(
    "crossq_pendulum",
    agent="crossq",
    env="Pendulum-v1",
    values={
        "train_steps": 20_000,
        "replay_capacity": 20_000,
        "learning_starts": 500,
        "hidden_sizes": (64, 64),
        "critic_sizes": (128, 128),
        "batch_size": 128,
    },
    doc="CrossQ on Pendulum, one gradient step per environment step.",
)

for _task in ("HalfCheetah", "Hopper"):
    register(
        "crossq_" + {"HalfCheetah": "half_cheetah"}.get(_task, _task.lower()),
        agent="crossq",
        env=f"gymnasium:{_task}-v5",
        values={"train_steps": 200_000, "replay_capacity": 200_000, "learning_starts": 5_000},
        doc=f"CrossQ on MuJoCo's {_task}.",
    )
