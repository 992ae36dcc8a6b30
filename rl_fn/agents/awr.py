"""Advantage-weighted regression, AWR: of a data set's actions, the better ones are imitated (Peng et al., 2019)."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import tensorflow as tf

from rl_fn import learning, losses, random, replay
from rl_fn.agents.base import Agent
from rl_fn.agents.hparams import field, takes_network
from rl_fn.agents.offline import ImitationHParams, Imitator
from rl_fn.agents.value_based import TargetHParams
from rl_fn.learning import Learned
from rl_fn.struct import EnvSpec, Metrics, Nest, Scalar, Transition

Loss = Callable[..., tuple[tf.Tensor, Metrics]]


@dataclasses.dataclass(frozen=True)
class AWRHParams(ImitationHParams, TargetHParams):
    n_step: int = 5
    target_period: int = 1
    target_step_size: Scalar = 0.005
    temperature: Scalar = field(1.0, "Of the weights: advantages that are worth a factor of e.", above=0.0)
    max_weight: Scalar = field(20.0, "The largest weight of an action.", above=0.0)
    normalize_advantages: bool = field(True, "Whether advantages are divided by their deviation in a batch.")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.normalize_advantages and self.batch_size == 1:
            raise ValueError(
                "batch_size is 1 and normalize_advantages is True, expected False, or batches of more steps: one alone "
                "has no deviation"
            )


def loss(
    imitator: Imitator, params: Nest, target_params: Nest, sample: replay.Sample, hparams: AWRHParams
) -> tuple[tf.Tensor, Metrics]:
    """The loss of policy and value, a scalar: Peng et al. (2019), equations 6 and 9.

    Returns are those of n steps with the target's value behind them, where the paper has TD(lambda).
    """
    items = sample.items
    outputs, v_tm1 = imitator.outputs(params, items.observation)
    _, v_t = imitator.outputs(target_params, items.next_observation)
    error = tf.stop_gradient(items.reward + items.discount * v_t) - v_tm1
    advantage = tf.stop_gradient(error)
    if hparams.normalize_advantages:
        advantage /= tf.math.reduce_std(advantage) + 1e-8
    log_prob = imitator.log_prob(outputs, items.action)
    each = losses.advantage_weighted_regression_loss(log_prob, advantage, hparams.temperature, hparams.max_weight)
    policy_loss, value_loss = tf.reduce_mean(each), tf.reduce_mean(losses.l2_loss(error))
    entropy = tf.reduce_mean(imitator.head.distribution(outputs).entropy())
    value = policy_loss + hparams.value_cost * value_loss - hparams.entropy_cost * entropy
    metrics = {"policy_loss": policy_loss, "value_loss": value_loss, "entropy": entropy}
    return value, {**metrics, "value": tf.reduce_mean(v_tm1)}


@takes_network
def make(spec: EnvSpec, hparams: AWRHParams, *, data: Transition | None = None, loss: Loss = loss) -> Agent:
    """Makes an AWR agent of a data set, of the loss above or another.

    Raises:
      ValueError: without a policy for the action space, or if the data are not of that environment.
    """
    hparams = hparams.of_size(data)
    imitator, optimizer = hparams.make_imitator(spec), hparams.make_optimizer(hparams.gradient_steps)

    def init(key: random.Key) -> learning.TargetLearner:
        return learning.init_target_learner(imitator.network.init(key, imitator.input_spec), optimizer)

    def mine(params: Nest, target_params: Nest, sample: replay.Sample, key: random.Key) -> tuple[tf.Tensor, Learned]:
        del key  # nothing is random
        value, metrics = loss(imitator, params, target_params, sample, hparams)
        return value, Learned(metrics, tf.ones_like(sample.weights))

    gradient_step = learning.target_gradient_step(mine, optimizer, hparams.target_update)
    agent = hparams.make_agent(hparams.make_replay(spec), init, imitator.choose, gradient_step)
    return hparams.filled(agent, spec, data)
