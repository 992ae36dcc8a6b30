"""Trust region policy optimisation (Schulman et al., 2015): one step along the natural gradient per rollout."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import tensorflow as tf

from rl_fn import learning, losses, networks, policies, random
from rl_fn.agents.base import Agent
from rl_fn.agents.groups import AdamHParams
from rl_fn.agents.hparams import field, takes_network
from rl_fn.agents.on_policy import PassesHParams, value_metrics
from rl_fn.learning import Rollout, Sequences, Trained
from rl_fn.struct import EnvSpec, Metrics, Nest, Scalar


@dataclasses.dataclass(frozen=True)
class TRPOHParams(PassesHParams, AdamHParams):
    """Adam and passes over minibatches are for the value alone."""

    entropy_cost: Scalar = 0.0
    value_cost: Scalar = field(1.0, "Always 1: the value learns apart from the policy.", low=1.0, high=1.0)
    max_kl: Scalar = field(0.01, "The largest divergence of a step.", above=0.0)
    damping: Scalar = field(0.1, "Added to the diagonal of the curvature.", low=0.0)
    conjugate_gradient_steps: int = field(10, "Steps towards the natural gradient.", low=1)
    line_search_steps: int = field(10, "Steps that are tried, each 0.8 times as long as the last.", low=1)
    num_epochs: int = 10

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.shared_torso or self.memory != "none":
            raise ValueError(
                f"shared_torso is {self.shared_torso} and memory is {self.memory!r}, expected False and 'none': "
                "learning the value would move the policy out of its trust region"
            )

    @property
    def normalized_steps(self) -> int:
        """See OnPolicyHParams: minibatches are for the value alone."""
        return self.schedule.steps


def loss(
    network: networks.ActorCritic, head: policies.PolicyHead, params: Nest, batch: Sequences, hparams: TRPOHParams
) -> tf.Tensor:
    """The loss of the policy: Schulman et al. (2015), equation 14, with the entropy, to be minimised."""
    distribution = _distribution(network, head, params, batch)
    ratio = tf.exp(distribution.log_prob(batch.raw_action) - batch.log_prob)
    advantage = learning.normalized(batch.advantage) if hparams.normalize_advantages else batch.advantage
    return -tf.reduce_mean(ratio * advantage + hparams.entropy_cost * distribution.entropy())


def value_loss(network: networks.ActorCritic, params: Nest, batch: Sequences) -> tf.Tensor:
    """Half the mean squared error of the values."""
    _, value = network.unroll(params, (), batch.inputs, batch.is_first)
    return tf.reduce_mean(losses.l2_loss(value - batch.advantage - batch.value))


@takes_network
def make(spec: EnvSpec, hparams: TRPOHParams, *, loss: Callable[..., tf.Tensor] = loss) -> Agent:
    """Makes a TRPO agent, of the loss above or another; raises ValueError without a policy for the action space."""
    model = hparams.make_model(spec)
    optimizer = hparams.make_optimizer(hparams.gradient_steps)

    def init(key: random.Key) -> Trained:
        return learning.init_trained(model.network.init(key, model.input_spec), optimizer)

    def value_step(trained: Trained, batch: Sequences) -> tuple[Trained, Metrics]:
        def mine(params: Nest) -> tuple[tf.Tensor, Metrics]:
            error = value_loss(model.network, params, batch)
            return error, {"value_loss": error}

        return learning.minimise(mine, optimizer, trained)

    def learn(trained: Trained, rollout: Rollout, key: random.Key) -> tuple[Trained, Metrics]:
        advantage = hparams.advantages(model, trained.params, rollout)
        batch = learning.sequences_of(rollout, advantage, 1)
        old = _distribution(model.network, model.head, trained.params, batch)

        def divergence(params: Nest) -> tf.Tensor:
            return tf.reduce_mean(old.kl_divergence(_distribution(model.network, model.head, params, batch)))

        step = learning.trust_region_step(
            lambda params: loss(model.network, model.head, params, batch, hparams),
            divergence,
            trained.params,
            max_kl=hparams.max_kl,
            damping=hparams.damping,
            conjugate_gradient_steps=hparams.conjugate_gradient_steps,
            line_search_steps=hparams.line_search_steps,
        )
        metrics = {
            "kl": step.kl,
            "improvement": step.improvement,
            "step_fraction": step.fraction,
            "entropy": tf.reduce_mean(old.entropy()),
            "value": tf.reduce_mean(rollout.value),
        }
        trained = Trained(step.params, trained.opt_state)
        trained, more = hparams.passes(value_step, trained, rollout, advantage, key)
        more = tf.nest.map_structure(tf.reduce_mean, more)
        return trained, {**metrics, **more, **value_metrics(rollout, advantage)}

    return hparams.make_agent(model, init, learn)


def _distribution(
    network: networks.ActorCritic, head: policies.PolicyHead, params: Nest, batch: Sequences
) -> policies.Distribution:
    outputs, _ = network.unroll(params, (), batch.inputs, batch.is_first)
    return head.distribution(outputs)
