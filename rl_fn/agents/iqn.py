"""Implicit quantile networks (Dabney et al., 2018): the quantile of the return of each action at any fraction."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable

import tensorflow as tf

from rl_fn import losses, networks, random, replay
from rl_fn._src.shapes import sizes_of
from rl_fn.agents.base import Agent, num_actions
from rl_fn.agents.hparams import field, takes_network
from rl_fn.agents.qrdqn import midpoints
from rl_fn.agents.value_based import DistributionalHParams
from rl_fn.learning import Learned
from rl_fn.struct import EnvSpec, Nest, Scalar

# (params, observation [N, ...], tau [N, K], key of the noise) -> [N, K, A]
Quantiles = Callable[[Nest, Nest, tf.Tensor, random.Key | None], tf.Tensor]


@dataclasses.dataclass(frozen=True)
class IQNHParams(DistributionalHParams):
    num_quantiles: int = field(16, "Fractions drawn for each transition.", low=1)
    num_target_quantiles: int = field(16, "Fractions drawn for each target.", low=1)
    num_acting_quantiles: int = field(32, "Fractions drawn to choose an action.", low=1)
    num_cosines: int = field(64, "Cosines that make a fraction's embedding; the first is constant.", low=2)
    huber_param: Scalar = field(1.0, "Errors beyond this count linearly; 0 for all.", low=0.0)


def embedded(torso: networks.Network, num_cosines: int) -> networks.Network:
    """Features of observations times those of fractions; Dabney et al. (2018), equation 4.

    Args:
      torso: from inputs `[N, ...]` to features `[N, F]`.
      num_cosines: of a fraction.

    Returns:
      A Network from `{"inputs": [N, ...], "tau": [N, ...]}` to `[N, ..., F]`, with the axes of tau.
    """

    def init(key: random.Key, spec: Nest) -> Nest:
        keys = tf.unstack(random.split(key))
        params = torso.init(keys[0], spec["inputs"])
        linear = networks.dense(networks.output_spec(torso, params, spec["inputs"]).shape[-1])
        return {"features": params, "embedding": linear.init(keys[1], tf.TensorSpec([num_cosines], tf.float32))}

    def apply(params: Nest, inputs: Nest) -> tf.Tensor:
        x, tau = torso.apply(params["features"], inputs["inputs"]), inputs["tau"]
        cosines = tf.cos(math.pi * tf.range(num_cosines, dtype=tf.float32) * tau[..., tf.newaxis])
        embedding = tf.nn.relu(networks.dense(x.shape[-1]).apply(params["embedding"], cosines))
        return embedding * tf.reshape(x, [sizes_of(x)[0], *[1] * (tau.shape.rank - 1), x.shape[-1]])

    return networks.Network(init, apply)


def loss(
    quantiles: Quantiles, params: Nest, target_params: Nest, sample: replay.Sample, key: random.Key, hparams: IQNHParams
) -> tuple[tf.Tensor, Learned]:
    """The loss of a batch: Dabney et al. (2018), equation 3 and algorithm 1.

    Args:
      quantiles: `(params, observation, tau, key) -> [N, K, A]`; with no key there is no noise.
      params: what is learned.
      target_params: what values the successors.
      sample: N items `replay.NStepTransition` and their weights `[N]`.
      key: of the fractions, and of the noise where there is some.
      hparams: the agent's.

    Returns:
      The weighted mean, a scalar, and what it has to say; priorities are absolute errors of the means.
    """
    batch, keys = sample.items, tf.unstack(random.split(key, 6), num=6)
    size = batch.reward.shape[0]
    tau_tm1, tau_t, tau_selector = (
        random.uniform(part, [size, num])
        for part, num in zip(
            keys, (hparams.num_quantiles, hparams.num_target_quantiles, hparams.num_acting_quantiles), strict=False
        )
    )
    dist_tm1 = quantiles(params, batch.observation, tau_tm1, keys[3])
    dist_t = quantiles(target_params, batch.next_observation, tau_t, keys[4])
    choosing = params if hparams.double_q else target_params
    selector = quantiles(choosing, batch.next_observation, tau_selector, keys[5])
    each = losses.quantile_q_learning(
        dist_tm1,
        tau_tm1,
        batch.action,
        batch.reward,
        batch.discount,
        selector,
        dist_t,
        hparams.huber_param,
        divide_by_huber_param=True,
    )
    means = [tf.reduce_mean(dist, axis=1) for dist in (dist_tm1, dist_t, selector)]
    error = losses.double_q_learning(means[0], batch.action, batch.reward, batch.discount, *means[1:])
    value = tf.reduce_mean(sample.weights * each)
    return value, Learned({"loss": value, "q_value": tf.reduce_mean(means[0])}, tf.stop_gradient(tf.abs(error)))


@takes_network
def make(spec: EnvSpec, hparams: IQNHParams, *, loss: Callable[..., tuple[tf.Tensor, Learned]] = loss) -> Agent:
    """Makes an IQN agent, of the loss above or another. In evaluation its fractions are evenly spaced.

    Raises:
      ValueError: if the action space is not Discrete.
    """
    actions = num_actions("iqn", spec)
    torso, input_spec, to_inputs = hparams.make_torso(spec)
    with_fractions = embedded(torso, hparams.num_cosines)
    both = {"inputs": input_spec, "tau": tf.TensorSpec([], tf.float32)}
    network = hparams.make_heads(with_fractions, both, actions)

    def quantiles(params: Nest, observation: Nest, tau: tf.Tensor, key: random.Key | None) -> tf.Tensor:
        return network.apply(params, {"inputs": to_inputs(observation), "tau": tau}, key)

    def q_values(params: Nest, observation: Nest, key: random.Key | None) -> tf.Tensor:
        shape = [sizes_of(tf.nest.flatten(observation)[0])[0], hparams.num_acting_quantiles]
        tau, noise_key = tf.broadcast_to(midpoints(hparams.num_acting_quantiles), shape), None
        if key is not None:
            tau_key, noise_key = tf.unstack(random.split(key))
            tau = random.uniform(tau_key, shape)
        return tf.reduce_mean(quantiles(params, observation, tau, noise_key), axis=1)

    mine = lambda *args: loss(quantiles, *args, hparams)
    return hparams.make_value_agent(spec, network.init, q_values, mine)
