"""Asynchronous PPO: IMPALA's actors behind the learner, with several clipped steps on each of their rollouts.

The combination of V-trace and the clipped surrogate of Luo et al. (2020), "IMPACT: importance weighted asynchronous
architectures with clipped target networks", with the policy that acted for the target network.
"""

from __future__ import annotations

import dataclasses

import tensorflow as tf

from rl_fn import learning, losses, networks, policies
from rl_fn.agents import impala
from rl_fn.agents.base import Agent
from rl_fn.agents.groups import Inputs, VTraceHParams
from rl_fn.agents.hparams import field, takes_network
from rl_fn.struct import EnvSpec, Metrics, Nest, Scalar, Transition


@dataclasses.dataclass(frozen=True)
class APPOHParams(VTraceHParams):
    num_epochs: int = 2
    clip_epsilon: Scalar = field(0.3, "Clip range of the ratio to the policy that acted.", low=0.0)


def loss(
    network: networks.ActorCritic,
    head: policies.PolicyHead,
    to_inputs: Inputs,
    params: Nest,
    trajectory: Transition,
    hparams: APPOHParams,
) -> tuple[tf.Tensor, Metrics]:
    """The loss of a trajectory, to be minimised: Luo et al. (2020), equation 4; arguments as those of `impala.loss`."""
    log_prob, entropy, vtrace = impala.unrolled(network, head, to_inputs, params, trajectory, hparams)
    log_ratio = log_prob - trajectory.extras["log_prob"]
    # The surrogate brings the ratio itself, so the advantage is the one before it is weighted.
    advantage = vtrace.q_estimates - tf.stop_gradient(vtrace.targets - vtrace.errors)
    surrogate = losses.clipped_surrogate_pg_loss(tf.exp(log_ratio), advantage, hparams.clip_epsilon)
    value, metrics = impala.total(tf.reduce_mean(surrogate), log_ratio, entropy, vtrace, hparams)
    return value, {**metrics, "clip_fraction": learning.clip_fraction(log_ratio, hparams.clip_epsilon)}


@takes_network
def make(spec: EnvSpec, hparams: APPOHParams) -> Agent:
    """Makes an APPO agent; raises ValueError without a policy for the action space."""
    return impala.make_with(spec, hparams, loss)
