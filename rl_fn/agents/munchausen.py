"""Munchausen DQN (Vieillard, Pietquin and Geist, 2020): the policy's own log-probability is part of the reward."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import tensorflow as tf

from rl_fn import losses, random, replay
from rl_fn.agents.base import Agent, num_actions
from rl_fn.agents.hparams import field
from rl_fn.agents.value_based import Outputs, ValueHParams
from rl_fn.learning import Learned
from rl_fn.struct import EnvSpec, Nest, Scalar


@dataclasses.dataclass(frozen=True)
class MunchausenHParams(ValueHParams):
    loss: str = field("l2", "Loss of the TD error; huber turns linear beyond 1.", choices=("huber", "l2"))
    temperature: Scalar = field(0.03, "Of the soft policy, in units of the values.", above=0.0)
    munchausen_scale: Scalar = field(0.9, "Weight of the log-probability, times the temperature.", low=0.0, high=1.0)
    munchausen_clip: Scalar = field(-1.0, "The least that it adds to a reward, before the weight.", high=0.0)


def loss(
    q_values: Outputs,
    params: Nest,
    target_params: Nest,
    sample: replay.Sample,
    key: random.Key,
    hparams: MunchausenHParams,
) -> tuple[tf.Tensor, Learned]:
    """The loss of a batch: Vieillard et al. (2020), equation 2; arguments and results as of `dqn.loss`.

    With targets over several steps the log-probability of the first action is added, and no other.
    """
    batch, keys = sample.items, tf.unstack(random.split(key, 3), num=3)
    q_tm1 = q_values(params, batch.observation, keys[0])
    error = losses.munchausen_q_learning(
        q_tm1,
        batch.action,
        batch.reward,
        batch.discount,
        q_values(target_params, batch.next_observation, keys[1]),
        q_values(target_params, batch.observation, keys[2]),
        hparams.munchausen_scale,
        hparams.temperature,
        hparams.munchausen_clip,
    )
    each = losses.huber_loss(error) if hparams.loss == "huber" else losses.l2_loss(error)
    value = tf.reduce_mean(sample.weights * each)
    return value, Learned({"loss": value, "q_value": tf.reduce_mean(q_tm1)}, tf.abs(error))


def make(spec: EnvSpec, hparams: MunchausenHParams, *, loss: Callable[..., tuple[tf.Tensor, Learned]] = loss) -> Agent:
    """Makes a Munchausen DQN agent, of the loss above or another.

    Raises:
      ValueError: if the action space is not Discrete.
    """
    network = hparams.make_network(spec, num_actions("munchausen", spec))
    mine = lambda *args: loss(network.apply, *args, hparams)
    return hparams.make_value_agent(spec, network.init, network.apply, mine)
