"""Named sets of hyper-parameters, one file per agent: which agent, on which environment, with which values.

    rl.sets.register("mine", agent="dqn", env="CartPole-v1", values={"gamma": 0.9}, doc="A shorter view.")

TensorFlow is not imported here until a set is made into a struct.
"""

from rl_fn.sets import (
    atari,
    bootstrapped,
    c51,
    crossq,
    d4pg,
    ddpg,
    dqn,
    droq,
    impala,
    iqn,
    mpo,
    munchausen,
    ppo,
    pqn,
    qrdqn,
    r2d2,
    rainbow,
    redq,
    sac,
    td3,
    tqc,
    variants,
)
from rl_fn.sets.agents import agent_module, hparams_struct, make
from rl_fn.sets.lookup import find, read_toml
from rl_fn.sets.overrides import parse_overrides
from rl_fn.sets.registry import SETS, VARIANTS, NamedSet, register, register_variant

__all__ = [
    "SETS",
    "VARIANTS",
    "NamedSet",
    "agent_module",
    "atari",
    "bootstrapped",
    "c51",
    "crossq",
    "d4pg",
    "ddpg",
    "dqn",
    "droq",
    "find",
    "hparams_struct",
    "impala",
    "iqn",
    "make",
    "mpo",
    "munchausen",
    "parse_overrides",
    "ppo",
    "pqn",
    "qrdqn",
    "r2d2",
    "rainbow",
    "read_toml",
    "redq",
    "register",
    "register_variant",
    "sac",
    "td3",
    "tqc",
    "variants",
]
