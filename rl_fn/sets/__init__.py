"""Named sets of hyper-parameters: which agent, on which environment, with which values.

This module does not import TensorFlow until a set is made into a struct.
"""

from __future__ import annotations

import ast
import difflib
import importlib
import re
from collections.abc import Iterable, Mapping
from types import MappingProxyType, ModuleType
from typing import Any, NamedTuple

# Each module has `make(spec, hparams)` and its struct of hyper-parameters by this name.
AGENTS = {
    "dqn": ("rl_fn.agents.dqn", "DQNHParams"),
    "impala": ("rl_fn.agents.impala", "IMPALAHParams"),
    "ppo": ("rl_fn.agents.ppo", "PPOHParams"),
    "rainbow": ("rl_fn.agents.rainbow", "RainbowHParams"),
    "sac": ("rl_fn.agents.sac", "SACHParams"),
    "td3": ("rl_fn.agents.td3", "TD3HParams"),
}


class NamedSet(NamedTuple):
    agent: str  # a key of AGENTS
    env: str | None  # None: any environment that the agent can act in
    values: dict[str, Any]  # where they differ from the agent's defaults
    doc: str
    env_kwargs: Mapping[str, Any] = MappingProxyType({})  # what the environment is made with


SETS = {
    "ppo": NamedSet("ppo", None, {}, "PPO with its defaults, for any environment."),
    "dqn": NamedSet("dqn", None, {}, "Double DQN with its defaults, for any discrete environment."),
    "rainbow": NamedSet("rainbow", None, {}, "Rainbow with its defaults, for any discrete environment."),
    "impala": NamedSet("impala", None, {}, "IMPALA with its defaults, for any environment."),
    "sac": NamedSet("sac", None, {}, "SAC with its defaults, for discrete actions or a bounded Box."),
    "ppo_cartpole": NamedSet(
        "ppo",
        "CartPole-v1",
        {"train_steps": 500_000, "num_envs": 4, "clip_value_loss": True},
        "PPO on CartPole, with the settings of CleanRL's benchmark.",
    ),
    "ppo_pendulum": NamedSet(
        "ppo",
        "Pendulum-v1",
        {
            "train_steps": 300_000,
            "num_envs": 4,
            "rollout_length": 1_024,
            "num_epochs": 10,
            "num_minibatches": 64,
            "gamma": 0.9,
            "learning_rate": 1e-3,
            "entropy_cost": 0.0,
        },
        "PPO on Pendulum: Gaussian actions.",
    ),
    "ppo_minatar_breakout": NamedSet(
        "ppo",
        "MinAtar/Breakout-v1",
        {
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
        "PPO on MinAtar Breakout with sticky actions.",
    ),
    "ppo_recurrent_memory_chain": NamedSet(
        "ppo",
        "MemoryChain-bsuite",
        {
            "train_steps": 500_000,
            "num_envs": 32,
            "rollout_length": 64,
            "memory": "gru",
            "sequence_length": 32,
            "learning_rate": 1e-3,
            "clip_value_loss": True,
        },
        "PPO with a GRU on a memory chain of length 10.",
        {"memory_length": 10},
    ),
    "ppo_recurrent_cartpole": NamedSet(
        "ppo",
        "CartPoleNoVel-v1",
        {
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
        "PPO with a GRU on CartPole without velocities.",
    ),
    "dqn_cartpole": NamedSet(
        "dqn",
        "CartPole-v1",
        {
            "train_steps": 100_000,
            "num_envs": 4,
            "rollout_length": 4,
            "hidden_sizes": (120, 84),
            "anneal_learning_rate": True,
            "loss": "l2",
            "replay_capacity": 20_000,
            "gradient_steps": 16,
        },
        "Double DQN on CartPole, one gradient step per environment step.",
    ),
    "dqn_minatar_breakout": NamedSet(
        "dqn",
        "MinAtar/Breakout-v1",
        {
            "train_steps": 1_000_000,
            "num_envs": 8,
            "rollout_length": 1,
            "torso": "minatar",
            "hidden_sizes": (128,),
            "n_step": 3,
            "replay_capacity": 100_000,
            "learning_starts": 5_000,
            "learning_rate": 2.5e-4,
            "target_period": 250,
            "exploration_fraction": 0.1,
        },
        "Double DQN on MinAtar Breakout with sticky actions, one gradient step per eight environment steps.",
    ),
    "rainbow_cartpole": NamedSet(
        "rainbow",
        "CartPole-v1",
        {
            "train_steps": 50_000,
            "num_envs": 4,
            "gradient_steps": 4,
            "gamma": 0.98,
            "v_min": 0.0,
            "v_max": 50.0,
            "noise_deviation": 0.1,
            "learning_rate": 1e-3,
            "target_period": 100,
        },
        "Rainbow on CartPole, one gradient step per environment step.",
    ),
    "impala_cartpole": NamedSet(
        "impala",
        "CartPole-v1",
        {"train_steps": 500_000, "num_envs": 8, "rollout_length": 5, "learning_rate": 7e-4, "max_grad_norm": 0.5},
        "IMPALA on CartPole, with actors one update behind.",
    ),
    "sac_pendulum": NamedSet(
        "sac",
        "Pendulum-v1",
        {"train_steps": 20_000, "replay_capacity": 20_000, "learning_starts": 500, "actor_learning_rate": 1e-3},
        "SAC on Pendulum, one gradient step per environment step.",
    ),
    "td3": NamedSet("td3", None, {}, "TD3 with its defaults, for a bounded Box."),
    "td3_pendulum": NamedSet(
        "td3",
        "Pendulum-v1",
        {"train_steps": 20_000, "replay_capacity": 20_000, "learning_starts": 1_000},
        "TD3 on Pendulum, one gradient step per environment step.",
    ),
    "sac_discrete_cartpole": NamedSet(
        "sac",
        "CartPole-v1",
        {
            "train_steps": 100_000,
            "num_envs": 4,
            "gradient_steps": 2,
            "hidden_sizes": (128, 128),
            "batch_size": 128,
            "target_entropy_scale": 0.3,
        },
        "SAC with discrete actions on CartPole.",
    ),
}


def nearest(name: str, choices: Iterable[str]) -> str:
    """The choice that looks most like `name`."""
    return difflib.get_close_matches(name, list(choices), n=1, cutoff=0.0)[0]


def find(name: str) -> NamedSet:
    """Looks a set up.

    Raises:
      ValueError: if there is none of that name; the message names the nearest.
    """
    if name not in SETS:
        raise ValueError(
            f"unknown hyper-parameter set {name!r}; the nearest is {nearest(name, SETS)!r}, "
            f"there are: {', '.join(SETS)}"
        )
    return SETS[name]


def agent_module(agent: str) -> ModuleType:
    """The module that makes the agent."""
    return importlib.import_module(AGENTS[agent][0])


def make(named: NamedSet, overrides: str = "", **values: Any) -> Any:
    """Makes the agent's struct of hyper-parameters.

    Args:
      named: the set.
      overrides: `"learning_rate=1e-3,num_envs=16"`.
      **values: further values, which win.

    Raises:
      ValueError: for an unknown name, a text that cannot be read, or a value that is not allowed.
    """
    struct = getattr(agent_module(named.agent), AGENTS[named.agent][1])
    return struct().override(**{**named.values, **parse_overrides(overrides), **values})


def parse_overrides(text: str) -> dict[str, Any]:
    """Reads `"name=value,name=value"`; values are numbers, true, false, texts, or tuples such as (64, 64).

    Raises:
      ValueError: for a part that is not of this form, or a name given twice.
    """
    values: dict[str, Any] = {}
    for part in re.split(r",(?![^(\[]*[)\]])", text):
        if not part.strip():
            continue
        name, equals, value = (piece.strip() for piece in part.partition("="))
        if not equals or not name or not value:
            raise ValueError(f"cannot read override {part.strip()!r}, expected name=value")
        if name in values:
            raise ValueError(f"override {name!r} is given twice")
        values[name] = _read(value)
    return values


def _read(value: str) -> Any:
    if value.lower() in ("true", "false"):
        return value.lower() == "true"
    try:
        read = ast.literal_eval(value)
    except (SyntaxError, ValueError):
        return value
    # 1e5 is how people write a count.
    return int(read) if isinstance(read, float) and read.is_integer() and re.fullmatch(r"\d+e\d+", value) else read
