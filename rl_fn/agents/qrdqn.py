"""QR-DQN (Dabney et al., 2018): the quantiles of the return of each action, at fixed fractions."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import tensorflow as tf

from rl_fn import losses, random, replay
from rl_fn.agents.base import Agent, num_actions
from rl_fn.agents.hparams import field, takes_network
from rl_fn.agents.value_based import DistributionalHParams, Outputs
from rl_fn.learning import Learned
from rl_fn.struct import EnvSpec, Nest, Scalar


@dataclasses.dataclass(frozen=True)
class QRDQNHParams(DistributionalHParams):
    num_quantiles: int = field(32, "Quantiles of the return.", low=1)
    huber_param: Scalar = field(1.0, "Errors beyond this count linearly; 0 for all.", low=0.0)


def midpoints(num: int) -> tf.Tensor:
    """The fractions `[num]` of as many quantiles: the middles of equal parts of [0, 1]; Dabney et al., lemma 2."""
    return (tf.range(num, dtype=tf.float32) + 0.5) / num


def loss(
    quantiles: Outputs, params: Nest, target_params: Nest, sample: replay.Sample, key: random.Key, hparams: QRDQNHParams
) -> tuple[tf.Tensor, Learned]:
    """The loss of a batch: Dabney et al. (2018), algorithm 1.

    Args:
      quantiles: `(params, observation, key) -> [N, A, quantiles]`; with no key there is no noise.
      params: what is learned.
      target_params: what values the successors.
      sample: N items `replay.NStepTransition` and their weights `[N]`.
      key: of the noise, where there is some: each of the three networks has its own.
      hparams: the agent's.

    Returns:
      The weighted mean, a scalar, and what it has to say; priorities are absolute errors of the means.
    """
    batch, keys = sample.items, tf.unstack(random.split(key, 3), num=3)
    dist_tm1 = quantiles(params, batch.observation, keys[0])
    dist_t = quantiles(target_params, batch.next_observation, keys[1])
    selector = quantiles(params, batch.next_observation, keys[2]) if hparams.double_q else dist_t
    last = tf.linalg.matrix_transpose  # to [N, quantiles, A]
    each = losses.quantile_q_learning(
        last(dist_tm1),
        midpoints(hparams.num_quantiles),
        batch.action,
        batch.reward,
        batch.discount,
        last(selector),
        last(dist_t),
        hparams.huber_param,
    )
    means = [tf.reduce_mean(dist, axis=-1) for dist in (dist_tm1, dist_t, selector)]
    error = losses.double_q_learning(means[0], batch.action, batch.reward, batch.discount, *means[1:])
    value = tf.reduce_mean(sample.weights * each)
    return value, Learned({"loss": value, "q_value": tf.reduce_mean(means[0])}, tf.stop_gradient(tf.abs(error)))


@takes_network
def make(spec: EnvSpec, hparams: QRDQNHParams, *, loss: Callable[..., tuple[tf.Tensor, Learned]] = loss) -> Agent:
    """Makes a QR-DQN agent, of the loss above or another.

    Raises:
      ValueError: if the action space is not Discrete.
    """
    network = hparams.make_network(spec, num_actions("qrdqn", spec), hparams.num_quantiles)
    q_values = lambda params, observation, key: tf.reduce_mean(network.apply(params, observation, key), axis=-1)
    mine = lambda *args: loss(network.apply, *args, hparams)
    return hparams.make_value_agent(spec, network.init, q_values, mine)
