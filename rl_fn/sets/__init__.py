"""Named sets of hyper-parameters, one file per agent: which agent, on which environment, with which values.

    rl.sets.register("mine", agent="dqn", env="CartPole-v1", values={"gamma": 0.9}, doc="A shorter view.")

TensorFlow is not imported here until a set is made into a struct.
"""

from rl_fn.sets import (
    a2c,
    appo,
    atari,
    bootstrapped,
    c51,
    dpo,
    dqn,
    impala,
    iqn,
    munchausen,
    ppg,
    ppo,
    pqn,
    qrdqn,
    r2d2,
    rainbow,
    rnd,
    sac,
    td3,
    trpo,
    variants,
    vmpo,
    vpg,
)
from rl_fn.sets.agents import agent_module, hparams_struct, make
from rl_fn.sets.lookup import find, read_toml
from rl_fn.sets.overrides import parse_overrides
from rl_fn.sets.registry import SETS, VARIANTS, NamedSet, register, register_variant

__all__ = [
    "SETS",
    "VARIANTS",
    "NamedSet",
    "a2c",
    "agent_module",
    "appo",
    "atari",
    "bootstrapped",
    "c51",
    "dpo",
    "dqn",
    "find",
    "hparams_struct",
    "impala",
    "iqn",
    "make",
    "munchausen",
    "parse_overrides",
    "ppg",
    "ppo",
    "pqn",
    "qrdqn",
    "r2d2",
    "rainbow",
    "read_toml",
    "register",
    "register_variant",
    "rnd",
    "sac",
    "td3",
    "trpo",
    "variants",
    "vmpo",
    "vpg",
]
