"""Named sets of hyper-parameters, one file per agent: which agent, on which environment, with which values.

    rl.sets.register("mine", agent="dqn", env="CartPole-v1", values={"gamma": 0.9}, doc="A shorter view.")

TensorFlow is not imported here until a set is made into a struct.
"""

from rl_fn.sets import crossq, d4pg, ddpg, dqn, droq, impala, mpo, ppo, rainbow, redq, sac, td3, tqc
from rl_fn.sets.agents import agent_module, hparams_struct, make
from rl_fn.sets.lookup import find, read_toml
from rl_fn.sets.overrides import parse_overrides
from rl_fn.sets.registry import SETS, NamedSet, register

__all__ = [
    "SETS",
    "NamedSet",
    "agent_module",
    "crossq",
    "d4pg",
    "ddpg",
    "dqn",
    "droq",
    "find",
    "hparams_struct",
    "impala",
    "make",
    "mpo",
    "parse_overrides",
    "ppo",
    "rainbow",
    "read_toml",
    "redq",
    "register",
    "sac",
    "td3",
    "tqc",
]
