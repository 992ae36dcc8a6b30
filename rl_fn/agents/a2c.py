"""Advantage actor-critic (Mnih et al., 2016, "Asynchronous methods for deep reinforcement learning"), in step.

One gradient step on each short rollout of many environments; with a memory, through all of the rollout's steps.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import tensorflow as tf

from rl_fn import learning, losses, networks, policies, random, struct
from rl_fn.agents.base import Agent
from rl_fn.agents.groups import RMSPropHParams
from rl_fn.agents.hparams import takes_network
from rl_fn.agents.on_policy import AdvantageHParams, value_metrics
from rl_fn.learning import Rollout, Sequences, Trained
from rl_fn.struct import EnvSpec, Metrics, Nest, Scalar


@dataclasses.dataclass(frozen=True)
class A2CHParams(AdvantageHParams, RMSPropHParams):
    num_envs: int = 16
    rollout_length: int = 5
    anneal_learning_rate: bool = True
    gae_lambda: Scalar = 1.0
    normalize_advantages: bool = False


def loss(
    network: networks.ActorCritic, head: policies.PolicyHead, params: Nest, batch: Sequences, hparams: A2CHParams
) -> tuple[tf.Tensor, Metrics]:
    """The loss of a rollout: Mnih et al. (2016), section 4, to be minimised.

    Args:
      network: from `params` and `batch.inputs` to the outputs of the policy's head and to values.
      head: from these outputs to distributions of raw actions.
      params: what is learned.
      batch: the rollout.
      hparams: the agent's.
    """
    outputs, value = network.unroll(params, struct.at(batch.recurrent_state, 0), batch.inputs, batch.is_first)
    distribution = head.distribution(outputs)
    advantage = learning.normalized(batch.advantage) if hparams.normalize_advantages else batch.advantage
    policy_loss = -tf.reduce_mean(distribution.log_prob(batch.raw_action) * advantage)
    value_loss = tf.reduce_mean(losses.l2_loss(value - batch.advantage - batch.value))
    entropy = tf.reduce_mean(distribution.entropy())
    total = policy_loss + hparams.value_cost * value_loss - hparams.entropy_cost * entropy
    return total, {
        "policy_loss": policy_loss,
        "value_loss": value_loss,
        "value": tf.reduce_mean(value),
        "entropy": entropy,
    }


@takes_network
def make(spec: EnvSpec, hparams: A2CHParams, *, loss: Callable[..., tuple[tf.Tensor, Metrics]] = loss) -> Agent:
    """Makes an A2C agent, of the loss above or another; raises ValueError without a policy for the action space."""
    model = hparams.make_model(spec)
    optimizer = hparams.make_optimizer()

    def init(key: random.Key) -> Trained:
        return learning.init_trained(model.network.init(key, model.input_spec), optimizer)

    def learn(trained: Trained, rollout: Rollout, key: random.Key) -> tuple[Trained, Metrics]:
        del key  # nothing is random
        advantage = hparams.advantages(model, trained.params, rollout)
        batch = learning.sequences_of(rollout, advantage, hparams.rollout_length)
        mine = lambda params: loss(model.network, model.head, params, batch, hparams)
        trained, metrics = learning.minimise(mine, optimizer, trained)
        return trained, {**metrics, **value_metrics(rollout, advantage)}

    return hparams.make_agent(model, init, learn)
