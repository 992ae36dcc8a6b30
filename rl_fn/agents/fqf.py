"""Fully parameterised quantile functions (Yang et al., 2019): quantiles at fractions that are learned themselves."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import tensorflow as tf

from rl_fn import losses, networks, optimizers, random, replay
from rl_fn.agents.base import Agent, num_actions
from rl_fn.agents.hparams import field, takes_network
from rl_fn.agents.iqn import Quantiles, embedded
from rl_fn.agents.value_based import DistributionalHParams
from rl_fn.learning import Learned
from rl_fn.struct import EnvSpec, Nest, Scalar

# (params, observation [N, ...]) -> bounds [N, K + 1], from 0 to 1
Proposal = Callable[[Nest, Nest], tf.Tensor]


@dataclasses.dataclass(frozen=True)
class FQFHParams(DistributionalHParams):
    num_quantiles: int = field(32, "Parts into which the fractions are divided.", low=2)
    num_cosines: int = field(64, "Cosines that make a fraction's embedding; the first is constant.", low=2)
    huber_param: Scalar = field(1.0, "Errors beyond this count linearly; 0 for all.", low=0.0)
    fraction_learning_rate: Scalar = field(2.5e-9, "RMSProp's step size for what proposes the fractions.", above=0.0)

    def make_optimizer(self, steps_per_update: int = 1, num_updates: tf.Tensor | None = None) -> optimizers.Optimizer:
        """Makes the optimiser of the values, with another for what proposes the fractions."""
        values = super().make_optimizer(steps_per_update, num_updates)
        fractions = optimizers.flatten(
            optimizers.rmsprop(self.fraction_learning_rate, decay=0.95, epsilon=1e-5, epsilon_inside_sqrt=False)
        )
        apart = optimizers.partition({"values": values, "fractions": fractions}, _by_part)
        rate = values.learning_rate
        return apart._replace(learning_rate=rate and (lambda state: rate(state["values"])))


def _by_part(params: Nest) -> Nest:
    """The optimiser of each parameter."""
    return {name: tf.nest.map_structure(lambda _, name=name: name, part) for name, part in params.items()}


def middles(bounds: tf.Tensor) -> tf.Tensor:
    """The fractions `[N, K]` in the middle of the parts between bounds `[N, K + 1]`, to which no gradient flows."""
    return tf.stop_gradient((bounds[:, 1:] + bounds[:, :-1]) / 2)


def means(dist: tf.Tensor, bounds: tf.Tensor) -> tf.Tensor:
    """The means `[N, A]` of quantiles `[N, K, A]`, each as heavy as its part is wide; Yang et al., equation 3."""
    return tf.einsum("nka,nk->na", dist, tf.stop_gradient(bounds[:, 1:] - bounds[:, :-1]))


def fraction_loss(at_bounds: tf.Tensor, at_middles: tf.Tensor, bounds: tf.Tensor) -> tf.Tensor:
    """A loss `[N]` whose gradient is that of the 1-Wasserstein error; Yang et al. (2019), proposition 1.

    Args:
      at_bounds: `[N, K - 1]` quantiles at the bounds inside.
      at_middles: `[N, K]` quantiles at the middles.
      bounds: `[N, K + 1]`, the only ones that get a gradient.

    Returns:
      The bounds inside, weighted by their gradients.
    """
    gradient = tf.stop_gradient(2 * at_bounds - at_middles[:, 1:] - at_middles[:, :-1])
    return tf.reduce_sum(gradient * bounds[:, 1:-1], axis=1)


def loss(
    quantiles: Quantiles,
    proposal: Proposal,
    params: Nest,
    target_params: Nest,
    sample: replay.Sample,
    key: random.Key,
    hparams: FQFHParams,
) -> tuple[tf.Tensor, Learned]:
    """The loss of a batch: Yang et al. (2019), algorithm 1; successors are valued at the same fractions.

    Args:
      quantiles: `(params, observation, tau, key) -> [N, K, A]`; with no key there is no noise.
      proposal: `(params, observation) -> [N, K + 1]`, bounds of the parts of the fractions.
      params: what is learned.
      target_params: what values the successors.
      sample: N items `replay.NStepTransition` and their weights `[N]`.
      key: of the noise, where there is some: each of the three networks has its own.
      hparams: the agent's.

    Returns:
      The weighted mean of both losses, a scalar, and what it has to say; priorities are absolute errors of the means.
    """
    batch, keys = sample.items, tf.unstack(random.split(key, 3), num=3)
    bounds = proposal(params, batch.observation)
    tau = middles(bounds)
    dist_tm1 = quantiles(params, batch.observation, tau, keys[0])
    dist_t = quantiles(target_params, batch.next_observation, tau, keys[1])
    selector = quantiles(params, batch.next_observation, tau, keys[2]) if hparams.double_q else dist_t
    q_tm1, q_t, q_selector = (means(dist, bounds) for dist in (dist_tm1, dist_t, selector))
    each = losses.quantile_q_learning(
        dist_tm1,
        tau,
        batch.action,
        batch.reward,
        batch.discount,
        q_selector[:, tf.newaxis],
        dist_t,
        hparams.huber_param,
        divide_by_huber_param=True,
    )
    at_bounds = quantiles(params, batch.observation, tf.stop_gradient(bounds[:, 1:-1]), keys[0])
    of_action = lambda dist: losses.batched_index(dist, tf.broadcast_to(batch.action[:, tf.newaxis], dist.shape[:2]))
    each_fraction = fraction_loss(of_action(at_bounds), of_action(dist_tm1), bounds)
    value = tf.reduce_mean(sample.weights * each)
    error = losses.double_q_learning(q_tm1, batch.action, batch.reward, batch.discount, q_t, q_selector)
    entropy = -tf.reduce_mean(tf.reduce_sum(tf.math.xlogy(*[bounds[:, 1:] - bounds[:, :-1]] * 2), axis=1))
    measured = {"loss": value, "q_value": tf.reduce_mean(q_tm1), "fraction_entropy": entropy}
    return value + tf.reduce_mean(sample.weights * each_fraction), Learned(measured, tf.stop_gradient(tf.abs(error)))


@takes_network
def make(spec: EnvSpec, hparams: FQFHParams, *, loss: Callable[..., tuple[tf.Tensor, Learned]] = loss) -> Agent:
    """Makes an FQF agent, of the loss above or another.

    Raises:
      ValueError: if the action space is not Discrete.
    """
    actions = num_actions("fqf", spec)
    torso, input_spec, to_inputs = hparams.make_torso(spec)
    both = {"inputs": input_spec, "tau": tf.TensorSpec([], tf.float32)}
    network = hparams.make_heads(embedded(torso, hparams.num_cosines), both, actions)
    shares = networks.dense(hparams.num_quantiles, networks.orthogonal(0.01))
    torso_of = lambda values: (values if hparams.noise == "none" else values["mean"])["torso"]["features"]

    def init(key: random.Key) -> Nest:
        keys = tf.unstack(random.split(key))
        values = network.init(keys[0])
        features = networks.output_spec(torso, torso_of(values), input_spec)
        return {"values": values, "fractions": shares.init(keys[1], features)}

    def quantiles(params: Nest, observation: Nest, tau: tf.Tensor, key: random.Key | None) -> tf.Tensor:
        return network.apply(params["values"], {"inputs": to_inputs(observation), "tau": tau}, key)

    def proposal(params: Nest, observation: Nest) -> tf.Tensor:
        features = torso.apply(torso_of(params["values"]), to_inputs(observation))
        widths = tf.nn.softmax(shares.apply(params["fractions"], tf.stop_gradient(features)))
        return tf.pad(tf.minimum(tf.cumsum(widths, axis=1), 1.0), [[0, 0], [1, 0]])

    def q_values(params: Nest, observation: Nest, key: random.Key | None) -> tf.Tensor:
        bounds = proposal(params, observation)
        return means(quantiles(params, observation, middles(bounds), key), bounds)

    mine = lambda *args: loss(quantiles, proposal, *args, hparams)
    return hparams.make_value_agent(spec, init, q_values, mine)
