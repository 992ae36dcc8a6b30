"""Sets for `rl_fn.agents.ppo`."""

from rl_fn.sets.registry import register

register(
    "ppo",
    agent="ppo",
    values={"learning_rate": 1e-3, "normalize_observations": True, "normalize_rewards": True},
    doc="PPO with normalised observations and rewards, for any environment.",
)

register(
    "ppo_cartpole",
    agent="ppo",
    env="CartPole-v1",
    values={"train_steps": 500_000, "num_envs": 4, "normalize_observations": True, "normalize_rewards": True},
    doc="PPO on CartPole, normalised: without that, one seed in a hundred is not yet steady at the end.",
)

register(
    "ppo_pendulum",
    agent="ppo",
    env="Pendulum-v1",
    values={
        "train_steps": 100_000,
        "num_envs": 4,
        "rollout_length": 1_024,
        "num_epochs": 20,
        "num_minibatches": 64,
        "gamma": 0.98,
        "gae_lambda": 0.87,
        "learning_rate": 1e-3,
        "max_grad_norm": 2.4,
        "clip_epsilon": 0.08,
        "entropy_cost": 0.0,
        "initial_stddev": 1.0,
    },
    doc="PPO on Pendulum: Gaussian actions.",
)

for _game in ("Asterix", "Breakout", "Freeway", "SpaceInvaders"):
    register(
        "ppo_minatar_" + {"SpaceInvaders": "space_invaders"}.get(_game, _game.lower()),
        agent="ppo",
        env=f"MinAtar/{_game}-v1",
        values={
            "train_steps": 10_000_000,
            "num_envs": 64,
            "rollout_length": 128,
            "hidden_sizes": (256, 256),
            "activation": "relu",
            "num_minibatches": 8,
            "gamma": 0.99,
            "learning_rate": 1e-3,
            "clip_value_loss": True,
        },
        doc=f"PPO on MinAtar {_game} with sticky actions.",
    )

register(
    "ppo_recurrent_memory_chain",
    agent="ppo",
    env="MemoryChain-bsuite",
    env_kwargs={"memory_length": 10},
    values={
        "train_steps": 500_000,
        "num_envs": 32,
        "rollout_length": 64,
        "memory": "gru",
        "sequence_length": 32,
        "learning_rate": 1e-3,
        "clip_value_loss": True,
    },
    doc="PPO with a GRU on a memory chain of length 10.",
)

register(
    "ppo_recurrent_cartpole",
    agent="ppo",
    env="CartPoleNoVel-v1",
    values={
        "train_steps": 500_000,
        "num_envs": 16,
        "rollout_length": 128,
        "memory": "gru",
        "sequence_length": 32,
        "num_epochs": 8,
        "gamma": 0.98,
        "gae_lambda": 0.9,
        "learning_rate": 1.5e-3,
        "normalize_observations": True,
    },
    doc="PPO with a GRU on CartPole without velocities.",
)

register(
    "ppo_cartpole_fast",
    agent="ppo",
    env="CartPole-v1",
    values={
        "train_steps": 100_000,
        "num_envs": 8,
        "rollout_length": 32,
        "num_epochs": 20,
        "num_minibatches": 1,
        "gamma": 0.98,
        "gae_lambda": 0.8,
        "learning_rate": 1e-3,
        "anneal_clip_epsilon": True,
        "entropy_cost": 0.0,
    },
    doc="PPO on CartPole in 100,000 steps: many passes over short rollouts, a falling clip range.",
)

register(
    "ppo_kl_cartpole",
    agent="ppo",
    env="CartPole-v1",
    values={
        "train_steps": 500_000,
        "num_envs": 4,
        "num_epochs": 10,
        "learning_rate": 1e-3,  # with smaller steps the divergence stays below its target, until nothing is held
        "clip_epsilon": 1e6,
        "kl_cost": 1.0,
        "kl_target": 0.01,
    },
    doc="PPO with an adaptive penalty in place of the clip, on CartPole.",
)

register(
    "ppo_acrobot",
    agent="ppo",
    env="Acrobot-v1",
    values={
        "train_steps": 300_000,
        "num_envs": 16,
        "num_epochs": 8,
        "gamma": 0.975,
        "gae_lambda": 0.92,
        "learning_rate": 8e-3,
        "clip_epsilon": 0.16,
        "entropy_cost": 0.0,
        "normalize_observations": True,
        "normalize_rewards": True,
    },
    doc="PPO on Acrobot, normalised.",
)

register(
    "ppo_catch",
    agent="ppo",
    env="Catch-bsuite",
    values={"train_steps": 50_000, "num_envs": 16, "rollout_length": 32, "learning_rate": 1e-3},
    doc="PPO on Catch.",
)

for _task in ("HalfCheetah", "Hopper"):
    register(
        "ppo_" + {"HalfCheetah": "half_cheetah"}.get(_task, _task.lower()),
        agent="ppo",
        env=f"gymnasium:{_task}-v5",
        values={
            "train_steps": 1_000_000,
            "rollout_length": 256,
            "num_epochs": 10,
            "num_minibatches": 32,
            "learning_rate": 3e-4,
            "initial_stddev": 1.0,
            "entropy_cost": 0.0,
            "normalize_observations": True,
            "normalize_rewards": True,
        },
        doc=f"PPO on MuJoCo's {_task}, normalised.",
    )

register(
    "ppo_lunar_lander",
    agent="ppo",
    env="gymnasium:LunarLander-v3",
    values={
        "train_steps": 1_000_000,
        "num_envs": 16,
        "rollout_length": 256,
        "num_minibatches": 64,
        "gamma": 0.999,
        "gae_lambda": 0.98,
        "learning_rate": 3e-4,
        "normalize_rewards": True,
    },
    doc="PPO on LunarLander.",
)

register(
    "ppo_mountaincar",
    agent="ppo",
    env="MountainCar-v0",
    values={
        "train_steps": 1_000_000,
        "num_envs": 16,
        "rollout_length": 16,
        "gamma": 0.97,
        "gae_lambda": 0.9,
        "learning_rate": 2e-3,
        "clip_epsilon": 0.1,
        "entropy_cost": 0.0,
        "normalize_observations": True,
        "normalize_rewards": True,
    },
    doc="PPO on MountainCar, normalised.",
)

register(
    "ppo_mountaincar_continuous",
    agent="ppo",
    env="MountainCarContinuous-v0",
    values={
        "train_steps": 100_000,
        "num_envs": 8,
        "rollout_length": 128,
        "num_epochs": 10,
        "gamma": 0.999,
        "gae_lambda": 0.98,
        "learning_rate": 1e-3,
        "initial_stddev": 2.0,
        "noise_period": 1_000,  # a whole episode: what each tries, it tries to the end
        "entropy_cost": 0.0,
        "normalize_observations": True,
        "normalize_rewards": True,
    },
    doc="PPO on MountainCar with continuous actions, normalised, with noise that depends on the state.",
)

register(
    "ppo_pong",
    agent="ppo",
    env="ALE/Pong-v5",
    values={"train_steps": 10_000_000, "torso": "nature", "hidden_sizes": (512,), "activation": "relu"}
    | {"shared_torso": True, "clip_epsilon": 0.1, "clip_value_loss": True},
    doc="PPO on Atari's Pong.",
)

register(
    "ppo_recurrent_memory_chain_40",
    agent="ppo",
    env="MemoryChain-bsuite",
    env_kwargs={"memory_length": 40},
    values={
        "train_steps": 500_000,
        "num_envs": 8,
        "rollout_length": 128,
        "memory": "gru",
        "sequence_length": 128,
        "learning_rate": 1e-3,
        "clip_value_loss": True,
    },
    doc="PPO with a GRU on a memory chain of length 40.",
)

register(
    "ppo_recurrent_pendulum",
    agent="ppo",
    env="PendulumNoVel-v1",
    values={
        "train_steps": 500_000,
        "num_envs": 16,
        "rollout_length": 128,
        "memory": "gru",
        "sequence_length": 32,
        "num_epochs": 10,
        "gamma": 0.95,
        "learning_rate": 1e-3,
        "entropy_cost": 0.0,
        "normalize_rewards": True,
    },
    doc="PPO with a GRU on Pendulum without velocities.",
)

register(
    "ppo_recurrent_lunar_lander",
    agent="ppo",
    env="LunarLanderNoVel-v3",
    values={
        "train_steps": 2_000_000,
        "num_envs": 32,
        "rollout_length": 128,
        "num_minibatches": 8,
        "memory": "gru",
        "sequence_length": 32,
        "num_epochs": 10,
        "gamma": 0.999,
        "gae_lambda": 0.98,
        "learning_rate": 5e-4,
        "entropy_cost": 0.0,
        "normalize_rewards": True,
    },
    doc="PPO with a GRU on LunarLander without velocities.",
)
