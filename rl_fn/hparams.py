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
AGENTS = {"dqn": ("rl_fn.agents.dqn", "DQNHParams"), "ppo": ("rl_fn.agents.ppo", "PPOHParams")}


class NamedSet(NamedTuple):
    agent: str  # a key of AGENTS
    env: str | None  # None: any environment that the agent can act in
    values: dict[str, Any]  # where they differ from the agent's defaults
    doc: str
    env_kwargs: Mapping[str, Any] = MappingProxyType({})  # what the environment is made with


SETS = {
    "ppo": NamedSet("ppo", None, {}, "PPO with its defaults, for any discrete environment."),
    "dqn": NamedSet("dqn", None, {}, "Double DQN with its defaults, for any discrete environment."),
    "ppo_cartpole": NamedSet(
        "ppo",
        "CartPole-v1",
        {"train_steps": 500_000, "num_envs": 4},
        "PPO on CartPole, with the settings of CleanRL's benchmark.",
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
