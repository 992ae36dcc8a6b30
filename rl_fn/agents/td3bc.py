"""TD3+BC: TD3 from a data set, whose policy is also held to the data's actions (Fujimoto and Gu, 2021)."""

from __future__ import annotations

import dataclasses
import functools

import tensorflow as tf

from rl_fn.agents import td3
from rl_fn.agents.base import Agent
from rl_fn.agents.hparams import field, takes_network
from rl_fn.agents.offline import OfflineHParams
from rl_fn.struct import EnvSpec, Scalar, Transition


@dataclasses.dataclass(frozen=True)
class TD3BCHParams(OfflineHParams, td3.TD3HParams):
    actor_learning_rate: Scalar = 3e-4
    critic_learning_rate: Scalar = 3e-4
    noise_damping: Scalar = field(1.0, "Always 1: nobody acts while it learns.", low=1.0, high=1.0)
    exploration_noise: Scalar = field(0.0, "Always 0: nobody acts while it learns.", low=0.0, high=0.0)
    value_weight: Scalar = field(2.5, "Alpha: the weight of the values beside that of the data's actions.", above=0.0)


def actor_loss(
    values: td3.Values, inputs: tf.Tensor, unit_action: tf.Tensor, taken: tf.Tensor, value_weight: Scalar = 2.5
) -> tf.Tensor:
    """The loss of the policy, a scalar: Fujimoto and Gu (2021), equations 3 and 5.

    Args:
      values: of the critics.
      inputs: `[N, F]`.
      unit_action: `[N, A]`, the policy's actions in [-1, 1].
      taken: `[N, A]`, those of the data.
      value_weight: alpha.
    """
    q = values(inputs, unit_action)[:, 0]
    scale = value_weight / tf.stop_gradient(tf.reduce_mean(tf.abs(q)) + 1e-8)
    return tf.reduce_mean(tf.square(unit_action - taken)) - scale * tf.reduce_mean(q)


@takes_network
def make(
    spec: EnvSpec,
    hparams: TD3BCHParams,
    *,
    data: Transition | None = None,
    critic_loss: td3.Loss = td3.critic_loss,
    actor_loss: td3.Loss = actor_loss,
) -> Agent:
    """Makes a TD3+BC agent of a data set, of the losses above or others.

    Raises:
      ValueError: for actions not in a Box with bounds, or if the data are not of that environment.
    """
    hparams = hparams.of_size(data)
    held = functools.partial(actor_loss, value_weight=hparams.value_weight)
    agent = td3.make(spec, hparams, critic_loss=critic_loss, actor_loss=held, name="td3bc")
    return hparams.filled(agent, spec, data)
