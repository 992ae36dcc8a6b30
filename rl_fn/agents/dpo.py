"""Discovered policy optimisation (Lu et al., 2022): PPO whose clip gives way to a drift that meta-learning found."""

from __future__ import annotations

import dataclasses
import functools

import tensorflow as tf

from rl_fn import losses
from rl_fn.agents import ppo
from rl_fn.agents.base import Agent
from rl_fn.agents.hparams import field, takes_network
from rl_fn.struct import EnvSpec, Scalar


@dataclasses.dataclass(frozen=True)
class DPOHParams(ppo.PPOHParams):
    drift_alpha: Scalar = field(2.0, "Scale of the drift where advantages are positive.", above=0.0)
    drift_beta: Scalar = field(0.6, "Scale of the drift where advantages are negative.", above=0.0)


def drift(log_ratio: tf.Tensor, advantage: tf.Tensor, hparams: DPOHParams) -> tf.Tensor:
    """Lu et al. (2022), section 5, `[L, N]`."""
    return losses.discovered_policy_optimisation_loss(log_ratio, advantage, hparams.drift_alpha, hparams.drift_beta)


loss = functools.partial(ppo.loss, surrogate=drift)


@takes_network
def make(spec: EnvSpec, hparams: DPOHParams) -> Agent:
    """Makes a DPO agent; raises ValueError without a policy for the action space."""
    return ppo.make(spec, hparams, loss=loss)
