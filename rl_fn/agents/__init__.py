"""Agents: one file per algorithm, each with its hyper-parameters, its state, its loss and `make`.

`base` says what an agent is; `hparams` and `groups` are what structs of hyper-parameters are made of.
"""

import pkgutil
from typing import TYPE_CHECKING, Any

from rl_fn._src import lazy

if TYPE_CHECKING:  # what editors and type checkers know without running anything
    from rl_fn.agents import a2c as a2c
    from rl_fn.agents import alphazero as alphazero
    from rl_fn.agents import appo as appo
    from rl_fn.agents import awr as awr
    from rl_fn.agents import base as base
    from rl_fn.agents import bc as bc
    from rl_fn.agents import bootstrapped as bootstrapped
    from rl_fn.agents import c51 as c51
    from rl_fn.agents import control as control
    from rl_fn.agents import cql as cql
    from rl_fn.agents import crossq as crossq
    from rl_fn.agents import d4pg as d4pg
    from rl_fn.agents import ddpg as ddpg
    from rl_fn.agents import dpo as dpo
    from rl_fn.agents import dqn as dqn
    from rl_fn.agents import dreamer as dreamer
    from rl_fn.agents import droq as droq
    from rl_fn.agents import fqf as fqf
    from rl_fn.agents import groups as groups
    from rl_fn.agents import hparams as hparams
    from rl_fn.agents import impala as impala
    from rl_fn.agents import iql as iql
    from rl_fn.agents import iqn as iqn
    from rl_fn.agents import mpo as mpo
    from rl_fn.agents import munchausen as munchausen
    from rl_fn.agents import muzero as muzero
    from rl_fn.agents import offline as offline
    from rl_fn.agents import on_policy as on_policy
    from rl_fn.agents import ppg as ppg
    from rl_fn.agents import ppo as ppo
    from rl_fn.agents import pqn as pqn
    from rl_fn.agents import qrdqn as qrdqn
    from rl_fn.agents import r2d2 as r2d2
    from rl_fn.agents import rainbow as rainbow
    from rl_fn.agents import ranges as ranges
    from rl_fn.agents import redq as redq
    from rl_fn.agents import rnd as rnd
    from rl_fn.agents import sac as sac
    from rl_fn.agents import td3 as td3
    from rl_fn.agents import td3bc as td3bc
    from rl_fn.agents import tqc as tqc
    from rl_fn.agents import tree_search as tree_search
    from rl_fn.agents import trpo as trpo
    from rl_fn.agents import value_based as value_based
    from rl_fn.agents import vmpo as vmpo
    from rl_fn.agents import vpg as vpg
    from rl_fn.agents import world_model_parts as world_model_parts
    from rl_fn.agents import world_model_stages as world_model_stages
    from rl_fn.agents import world_models as world_models

__all__ = sorted(module.name for module in pkgutil.iter_modules(__path__))


if not TYPE_CHECKING:  # a type checker would take every name for one of these

    def __getattr__(name: str) -> Any:
        if name in __all__:
            return lazy.load(f"{__name__}.{name}")
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
