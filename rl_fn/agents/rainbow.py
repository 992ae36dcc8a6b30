"""Rainbow (Hessel et al., 2018): six improvements of DQN, which are C51 and five of its options."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import tensorflow as tf

from rl_fn.agents import c51
from rl_fn.agents.base import Agent
from rl_fn.agents.c51 import C51HParams, loss
from rl_fn.agents.hparams import takes_network
from rl_fn.learning import Learned
from rl_fn.struct import EnvSpec, Scalar


@dataclasses.dataclass(frozen=True)
class RainbowHParams(C51HParams):
    rollout_length: int = 1
    gradient_steps: int = 1
    anneal_learning_rate: bool = False
    adam_epsilon: Scalar = 0.01 / 64
    hidden_sizes: tuple[int, ...] = (128,)
    stream_sizes: tuple[int, ...] = (128,)
    double_q: bool = True
    dueling: bool = True
    prioritized: bool = True
    noise: str = "factorised"
    epsilon_initial: Scalar = 0.0
    epsilon_final: Scalar = 0.0


@takes_network
def make(spec: EnvSpec, hparams: RainbowHParams, *, loss: Callable[..., tuple[tf.Tensor, Learned]] = loss) -> Agent:
    """Makes a Rainbow agent, of the loss of C51 or another.

    Raises:
      ValueError: if the action space is not Discrete.
    """
    return c51.make_named("rainbow", spec, hparams, loss)
