"""Behaviour cloning, BC: the policy that makes the actions of a data set most likely (Pomerleau, 1988)."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import NamedTuple

import tensorflow as tf

from rl_fn import learning, random, replay
from rl_fn.agents.base import Agent
from rl_fn.agents.groups import AdamHParams
from rl_fn.agents.hparams import field, takes_network
from rl_fn.agents.offline import ImitationHParams, Imitator
from rl_fn.learning import Learned, Trained
from rl_fn.struct import EnvSpec, Metrics, Nest, Scalar, Transition


@dataclasses.dataclass(frozen=True)
class BCHParams(ImitationHParams, AdamHParams):
    gamma: Scalar = field(1.0, "Always 1: no reward counts.", low=1.0, high=1.0)
    n_step: int = field(1, "Always 1: no reward counts.", low=1, high=1)
    value_cost: Scalar = field(0.0, "Always 0: no value is learned.", low=0.0, high=0.0)


class BCLearner(NamedTuple):
    trained: Trained

    @property
    def actor_params(self) -> Nest:
        return self.trained.params


def loss(imitator: Imitator, params: Nest, sample: replay.Sample, hparams: BCHParams) -> tuple[tf.Tensor, Metrics]:
    """Minus the mean log-likelihood of the data's actions, with a bonus for entropy; a scalar."""
    outputs, _ = imitator.outputs(params, sample.items.observation)
    log_prob = imitator.log_prob(outputs, sample.items.action)
    entropy = tf.reduce_mean(imitator.head.distribution(outputs).entropy())
    value = -tf.reduce_mean(log_prob) - hparams.entropy_cost * entropy
    return value, {"loss": value, "entropy": entropy}


@takes_network
def make(
    spec: EnvSpec,
    hparams: BCHParams,
    *,
    data: Transition | None = None,
    loss: Callable[..., tuple[tf.Tensor, Metrics]] = loss,
) -> Agent:
    """Makes a BC agent of a data set, of the loss above or another.

    Raises:
      ValueError: without a policy for the action space, or if the data are not of that environment.
    """
    hparams = hparams.of_size(data)
    imitator, optimizer = hparams.make_imitator(spec), hparams.make_optimizer(hparams.gradient_steps)

    def init(key: random.Key) -> BCLearner:
        return BCLearner(learning.init_trained(imitator.network.init(key, imitator.input_spec), optimizer))

    def gradient_step(learner: BCLearner, sample: replay.Sample, key: random.Key) -> tuple[BCLearner, Learned]:
        del key  # nothing is random
        mine = lambda params: loss(imitator, params, sample, hparams)
        trained, metrics = learning.minimise(mine, optimizer, learner.trained)
        return BCLearner(trained), Learned(metrics, tf.ones_like(sample.weights))

    agent = hparams.make_agent(hparams.make_replay(spec), init, imitator.choose, gradient_step)
    return hparams.filled(agent, spec, data)
