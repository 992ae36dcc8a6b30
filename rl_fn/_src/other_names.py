"""What other libraries call hyper-parameters and flags: the names that people try, and ours."""

from __future__ import annotations

from collections.abc import Collection

from rl_fn._src import naming

# theirs -> ours, the first that an agent has; as Stable-Baselines3, CleanRL, RLlib and others spell them
OTHER_NAMES: dict[str, tuple[str, ...]] = {
    "lr": ("learning_rate", "actor_learning_rate and critic_learning_rate"),
    "learning_rate": ("learning_rate", "actor_learning_rate and critic_learning_rate"),
    "policy_lr": ("actor_learning_rate",),
    "actor_lr": ("actor_learning_rate",),
    "q_lr": ("critic_learning_rate",),
    "critic_lr": ("critic_learning_rate",),
    "total_timesteps": ("train_steps",),
    "timesteps": ("train_steps",),
    "max_steps": ("train_steps",),
    "n_envs": ("num_envs",),
    "num_workers": ("num_envs",),
    "num_env_runners": ("num_envs",),
    "n_steps": ("rollout_length",),
    "num_steps": ("rollout_length",),
    "rollout_fragment_length": ("rollout_length",),
    "train_freq": ("rollout_length",),
    "train_frequency": ("rollout_length",),
    "unroll_length": ("rollout_length",),
    "discount": ("gamma",),
    "discount_factor": ("gamma",),
    "lambda": ("gae_lambda", "trace_lambda"),
    "lambda_": ("gae_lambda", "trace_lambda"),
    "ent_coef": ("entropy_cost", "initial_temperature"),
    "entropy_coeff": ("entropy_cost", "initial_temperature"),
    "entropy_coef": ("entropy_cost", "initial_temperature"),
    "vf_coef": ("value_cost",),
    "vf_loss_coeff": ("value_cost",),
    "value_coef": ("value_cost",),
    "clip_range": ("clip_epsilon",),
    "clip_coef": ("clip_epsilon",),
    "clip_param": ("clip_epsilon",),
    "clip_vloss": ("clip_value_loss",),
    "clip_range_vf": ("clip_value_loss",),
    "n_epochs": ("num_epochs",),
    "update_epochs": ("num_epochs",),
    "num_sgd_iter": ("num_epochs",),
    "minibatch_size": ("num_minibatches",),
    "batch_size": ("batch_size", "num_minibatches"),
    "normalize_advantage": ("normalize_advantages",),
    "norm_adv": ("normalize_advantages",),
    "anneal_lr": ("anneal_learning_rate",),
    "grad_clip": ("max_grad_norm",),
    "buffer_size": ("replay_capacity",),
    "memory_size": ("replay_capacity",),
    "replay_buffer_size": ("replay_capacity",),
    "warmup_steps": ("learning_starts",),
    "num_steps_sampled_before_learning_starts": ("learning_starts",),
    "train_batch_size": ("batch_size", "num_minibatches"),
    "utd_ratio": ("gradient_steps",),
    "tau": ("target_step_size", "target_period"),
    "polyak": ("target_step_size", "target_period"),
    "target_update_interval": ("target_period", "target_step_size"),
    "target_network_frequency": ("target_period", "target_step_size"),
    "target_network_update_freq": ("target_period", "target_step_size"),
    "policy_frequency": ("policy_delay",),
    "policy_freq": ("policy_delay",),
    "target_policy_noise": ("smoothing_noise",),
    "target_noise_clip": ("smoothing_clip",),
    "exploration_initial_eps": ("epsilon_initial",),
    "start_e": ("epsilon_initial",),
    "exploration_final_eps": ("epsilon_final",),
    "end_e": ("epsilon_final",),
    "alpha": ("priority_exponent", "initial_temperature"),
    "target_entropy": ("target_entropy_scale",),
    "beta": ("importance_exponent",),
    "prioritized_replay_alpha": ("priority_exponent",),
    "prioritized_replay_beta": ("importance_exponent",),
    "n_atoms": ("num_atoms",),
    "net_arch": ("hidden_sizes",),
    "fcnet_hiddens": ("hidden_sizes",),
    "layer_sizes": ("hidden_sizes",),
    "activation_fn": ("activation",),
    "lstm_hidden_size": ("memory_units",),
    "eps": ("adam_epsilon",),
}

# flags of other programs -> ours
OTHER_FLAGS = {
    "algo": "hparams",
    "algorithm": "hparams",
    "agent": "hparams",
    "env_id": "env",
    "env_name": "env",
    "total_timesteps": "train_steps",
    "timesteps": "train_steps",
    "n_timesteps": "train_steps",
    "max_steps": "train_steps",
    "logdir": "output_dir",
    "log_dir": "output_dir",
    "log_folder": "output_dir",
    "save_dir": "output_dir",
    "exp_name": "output_dir",
    "tensorboard_log": "output_dir",
    "num_seeds": "copies",
    "n_seeds": "copies",
    "capture_video": "record_video",
    "eval_freq": "eval_interval",
    "n_eval_episodes": "eval_episodes",
    "save_freq": "checkpoint_seconds",
    "trained_agent": "init_from",
    "hyperparams": "hparam_override",
    "env_kwarg": "env_kwargs",
}


def instead(name: str, there_are: Collection[str]) -> str:
    """What is said of a hyper-parameter that an agent does not have: what is meant, the nearest, or all there are.

    Args:
      name: as it was given.
      there_are: the names of the agent's hyper-parameters.
    """
    meant = OTHER_NAMES.get(name.lower(), ())
    for known in meant:
        if all(part in there_are for part in known.split(" and ")):
            return f"here it is {known}"
    if meant:
        return f"nor anything of the kind, which other agents call {meant[0]}"
    near = naming.likely(name, there_are)
    return f"the nearest is {near!r}" if near else f"there are: {', '.join(there_are)}"
