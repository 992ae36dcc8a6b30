"""IMPALA: an actor-critic whose actors may be behind the learner (Espeholt et al., 2018).

V-trace corrects for the difference between the policy that acted and the one that learns. With
`actor_lag` the loops keep the acting policy that many updates behind, as a real asynchronous system would.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import NamedTuple

import tensorflow as tf

from rl_fn import learning, losses, networks, policies, random, returns, struct
from rl_fn._src.scan import scan
from rl_fn.agents.base import ActorStep, Agent, Mode, actor_step, check_trajectory
from rl_fn.agents.groups import Inputs, VTraceHParams
from rl_fn.agents.hparams import field, takes_network
from rl_fn.struct import EnvSpec, Metrics, Nest, Scalar, Transition

MAX_POLICY_LAG = 20  # updates: what is older V-trace could correct for, but its traces would be short


@dataclasses.dataclass(frozen=True)
class IMPALAHParams(VTraceHParams):
    clip_pg_rho: Scalar = field(1.0, "The largest ratio in the policy gradient.", above=0.0)


class IMPALAState(NamedTuple):
    params: Nest
    opt_state: Nest

    @property
    def policy(self) -> Nest:
        return self.params


def loss(
    network: networks.ActorCritic,
    head: policies.PolicyHead,
    to_inputs: Inputs,
    params: Nest,
    trajectory: Transition,
    hparams: IMPALAHParams,
) -> tuple[tf.Tensor, Metrics]:
    """The loss of a trajectory: Espeholt et al. (2018), section 4.2, to be minimised.

    Args:
      network: from `params` and inputs to the outputs of the policy's head and to values.
      head: from these outputs to distributions of raw actions.
      to_inputs: from observations to what the network takes.
      params: what is learned.
      trajectory: `[T, B, ...]`, with the extras of acting: recurrent_state, raw_action and log_prob.
      hparams: the agent's.

    Returns:
      A scalar, and scalars to be logged.
    """
    log_prob, entropy, vtrace = unrolled(network, head, to_inputs, params, trajectory, hparams, hparams.clip_pg_rho)
    policy_loss = -tf.reduce_mean(log_prob * vtrace.advantages)
    return total(policy_loss, log_prob - trajectory.extras["log_prob"], entropy, vtrace, hparams)


def unrolled(
    network: networks.ActorCritic,
    head: policies.PolicyHead,
    to_inputs: Inputs,
    params: Nest,
    trajectory: Transition,
    hparams: VTraceHParams,
    clip_pg_rho: Scalar = 1.0,
) -> tuple[tf.Tensor, tf.Tensor, returns.VTraceOutput]:
    """What a loss of a trajectory is made of; arguments as those of `loss`, and the largest ratio in the advantages.

    Returns:
      Log-probabilities of the actions, entropies, and what V-trace says, `[T, B]` each.
    """
    extras, inputs = trajectory.extras, to_inputs(trajectory.observation)
    # The recurrent state before the first step has been reset already where an episode began.
    outputs, v_tm1 = network.unroll(params, struct.at(extras["recurrent_state"], 0), inputs, trajectory.is_first)
    discount = trajectory.discount(hparams.gamma)
    steps = extras["recurrent_state"], inputs, to_inputs(trajectory.next_observation), trajectory.is_last, discount
    v_t = learning.successor_values(network, params, v_tm1, *steps)
    distribution = head.distribution(outputs)
    log_prob = distribution.log_prob(extras["raw_action"])
    vtrace = returns.vtrace(
        v_tm1,
        v_t,
        trajectory.reward,
        discount,
        returns.importance_sampling_ratios(log_prob, extras["log_prob"]),
        hparams.trace_lambda,
        hparams.clip_rho,
        clip_pg_rho,
        truncated_t=trajectory.is_last,
    )
    return log_prob, distribution.entropy(), vtrace


def total(
    policy_loss: tf.Tensor,
    log_ratio: tf.Tensor,
    entropy: tf.Tensor,
    vtrace: returns.VTraceOutput,
    hparams: VTraceHParams,
) -> tuple[tf.Tensor, Metrics]:
    """The policy's loss with those of the value and the entropy, and what there is to say."""
    value_loss, entropy = tf.reduce_mean(losses.l2_loss(vtrace.errors)), tf.reduce_mean(entropy)
    return policy_loss + hparams.value_cost * value_loss - hparams.entropy_cost * entropy, {
        "policy_loss": policy_loss,
        "value_loss": value_loss,
        "value": tf.reduce_mean(vtrace.targets - vtrace.errors),
        "entropy": entropy,
        "approx_kl": learning.approx_kl(log_ratio),
    }


@takes_network
def make(spec: EnvSpec, hparams: IMPALAHParams, *, loss: Callable[..., tuple[tf.Tensor, Metrics]] = loss) -> Agent:
    """Makes an IMPALA agent, of the loss above or another.

    Raises:
      ValueError: if there is no policy for the action space.
    """
    return make_with(spec, hparams, loss)


def make_with(spec: EnvSpec, hparams: VTraceHParams, loss: Callable[..., tuple[tf.Tensor, Metrics]]) -> Agent:
    """As `make`, for whatever learns from such rollouts by a loss of its own."""
    head = policies.policy_head(spec.action_space)
    network, input_spec, to_inputs = hparams.make_network(spec)
    optimizer = hparams.make_optimizer(hparams.num_epochs)

    def init(key: random.Key) -> IMPALAState:
        params = network.init(key, input_spec)
        return IMPALAState(params, optimizer.init(params))

    def act(params: Nest, recurrent_state: Nest, observation: Nest, key: random.Key, mode: Mode) -> ActorStep:
        (outputs, _), after = network.step(params, recurrent_state, to_inputs(observation))
        return actor_step(head, outputs, key, mode, after, recurrent_state=recurrent_state)

    def update(state: IMPALAState, trajectory: Transition, key: random.Key) -> tuple[IMPALAState, Metrics]:
        del key  # nothing is random
        check_trajectory(hparams.schedule, trajectory)

        def gradient_step(trained: learning.Trained, _: None) -> tuple[learning.Trained, Metrics]:
            mine = lambda params: loss(network, head, to_inputs, params, trajectory, hparams)
            return learning.minimise(mine, optimizer, trained)

        trained, metrics = scan(gradient_step, learning.Trained(*state), length=hparams.num_epochs)
        return IMPALAState(*trained), tf.nest.map_structure(tf.reduce_mean, metrics)

    return Agent(hparams.schedule, init, network.initial_state, act, update, max_policy_lag=MAX_POLICY_LAG)
