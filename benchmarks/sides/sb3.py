"""The side of Stable-Baselines3, and what SBX, which has its interface, shares with it."""

from __future__ import annotations

import os
import time
from typing import Any

import numpy as np
import torch
import turns
from cases import Case
from sb3_contrib import QRDQN
from stable_baselines3 import DQN, PPO, SAC, TD3
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.noise import NormalActionNoise, VectorizedActionNoise
from torch import nn

ACTIVATIONS = {"tanh": nn.Tanh, "relu": nn.ReLU}
MODELS = {"sac": SAC, "td3": TD3, "dqn": DQN, "qrdqn": QRDQN}  # that learn from replay
JUDGED = 8  # environments stepped side by side in an evaluation


def from_replay(case: Case, policy: dict[str, Any]) -> dict[str, Any]:
    """The arguments of a model that learns from replay, of that policy."""
    settings = case.settings
    shared = {
        "learning_rate": settings["learning_rate"],
        "gamma": settings["gamma"],
        "buffer_size": settings["replay_capacity"],
        "learning_starts": settings["learning_starts"],
        "batch_size": settings["batch_size"],
        "train_freq": (settings["rollout_length"], "step"),
        "gradient_steps": settings["gradient_steps"],
        "policy_kwargs": policy,
        "device": "cpu",
        "seed": 0,
    }
    if case.algorithm == "sac":
        return {**shared, "tau": settings["target_step_size"]}
    if case.algorithm == "td3":
        noise = NormalActionNoise(np.zeros(1), [settings["exploration_noise"]])
        return {
            **shared,
            "tau": settings["target_step_size"],
            "policy_delay": settings["policy_delay"],
            "target_policy_noise": settings["smoothing_noise"],
            "target_noise_clip": settings["smoothing_clip"],
            "action_noise": VectorizedActionNoise(noise, settings["num_envs"]),
        }
    return {
        **shared,
        "max_grad_norm": settings["max_grad_norm"],
        "exploration_initial_eps": settings["epsilon"],
        "exploration_final_eps": settings["epsilon"],
        "target_update_interval": settings["target_period"] * settings["num_envs"] * settings["rollout_length"],
    }


def model_of(case: Case, env: Any) -> Any:
    """The model, equal to the case's settings."""
    settings = case.settings
    sizes, activation = list(settings["hidden_sizes"]), ACTIVATIONS[settings["activation"]]
    policy = {"net_arch": sizes, "activation_fn": activation}
    if case.algorithm == "ppo":
        return PPO(
            "MlpPolicy",
            env,
            n_steps=settings["rollout_length"],
            batch_size=settings["num_envs"] * settings["rollout_length"] // settings["num_minibatches"],
            n_epochs=settings["num_epochs"],
            learning_rate=settings["learning_rate"],
            gamma=settings["gamma"],
            gae_lambda=settings["gae_lambda"],
            clip_range=settings["clip_epsilon"],
            clip_range_vf=settings["clip_epsilon"],
            ent_coef=settings["entropy_cost"],
            vf_coef=settings["value_cost"],
            max_grad_norm=settings["max_grad_norm"],
            policy_kwargs={
                "net_arch": {"pi": sizes, "vf": sizes},
                "activation_fn": activation,
                "optimizer_kwargs": {"eps": settings["adam_epsilon"]},
            },
            device="cpu",
            seed=0,
        )
    if case.algorithm == "qrdqn":
        policy["n_quantiles"] = settings["num_quantiles"]
    return MODELS[case.algorithm]("MlpPolicy", env, **from_replay(case, policy))


class StableBaselines:
    """A model that goes on learning where it stopped."""

    def __init__(self, case: Case, make_model: Any = model_of):
        self._steps = case.steps_per_iteration
        self._env_name = case.env
        self._model = make_model(case, make_vec_env(case.env, case.settings["num_envs"], seed=0))

    def run(self, iterations: int) -> None:
        """See `turns.Side`."""
        self._model.learn(iterations * self._steps, reset_num_timesteps=False, log_interval=None)

    def settle(self, iterations: int) -> dict[str, Any]:
        """Chooses the number of torch's threads: with networks this small, one is often faster than all cores."""
        seconds = {}
        for threads in {1, os.cpu_count() or 1}:
            torch.set_num_threads(threads)
            begin = time.perf_counter()
            self.run(iterations)
            seconds[threads] = time.perf_counter() - begin
        fastest = min(seconds, key=seconds.__getitem__)
        torch.set_num_threads(fastest)
        return {"threads": fastest}

    def evaluate(self, episodes: int) -> float:
        """See `turns.Side`."""
        env = make_vec_env(self._env_name, JUDGED, seed=1_000)
        mean, _ = evaluate_policy(self._model, env, n_eval_episodes=episodes, deterministic=True)
        return float(mean)


if __name__ == "__main__":
    turns.serve(StableBaselines, ("stable-baselines3", "sb3-contrib", "torch", "gymnasium"))
