"""Vanilla policy gradient, REINFORCE (Williams, 1992), with a learned baseline or without.

A step counts by the whole of what follows it in its episode. So it waits until its episode has ended, in this rollout
or a later one; one that has waited for `patience` rollouts counts by what is known, and by the value of where the
episode stands if there is a baseline.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import NamedTuple

import tensorflow as tf

from rl_fn import learning, losses, networks, policies, random, returns, struct
from rl_fn.agents.base import Agent
from rl_fn.agents.groups import AdamHParams
from rl_fn.agents.hparams import field, takes_network
from rl_fn.agents.on_policy import Model, OnPolicyHParams
from rl_fn.learning import Rollout, Trained
from rl_fn.struct import EnvSpec, Metrics, Nest, Scalar


@dataclasses.dataclass(frozen=True)
class VPGHParams(OnPolicyHParams, AdamHParams):
    rollout_length: int = 128
    max_grad_norm: Scalar = 0.5
    entropy_cost: Scalar = 0.0
    baseline: bool = field(True, "Whether a value is learned and subtracted from the returns.")
    patience: int = field(1, "Rollouts that a step waits for the end of its episode.", low=0)

    @property
    def normalized_steps(self) -> int:
        """See OnPolicyHParams: steps that have waited count with those of the newest rollout."""
        return (self.patience + 1) * self.schedule.steps


class Steps(NamedTuple):
    """Steps with what their returns are made of, `[W, B, ...]`."""

    inputs: Nest
    raw_action: tf.Tensor
    recurrent_state: Nest  # before the step
    is_last: tf.Tensor
    reward: tf.Tensor
    discount: tf.Tensor
    v_t: tf.Tensor  # of the true successor; 0 without a baseline
    is_learned: tf.Tensor  # bool[W, B]


class VPGLearner(NamedTuple):
    params: Nest
    opt_state: Nest
    waiting: Steps  # of the last `patience` rollouts
    num_updates: tf.Tensor  # int32[]


class Batch(NamedTuple):
    inputs: Nest  # [W, B, ...]
    raw_action: tf.Tensor
    recurrent_state: Nest  # [W, B, ...]: before the step
    is_first: tf.Tensor
    returns: tf.Tensor  # [W, B]
    weight: tf.Tensor  # [W, B]: 1 for steps to learn from


def loss(
    network: networks.ActorCritic, head: policies.PolicyHead, params: Nest, batch: Batch, hparams: VPGHParams
) -> tuple[tf.Tensor, Metrics]:
    """The loss of steps: Williams (1992), section 5, to be minimised.

    Args:
      network: from `params` and `batch.inputs` to the outputs of the policy's head and to values.
      head: from these outputs to distributions of raw actions.
      params: what is learned.
      batch: the steps and their returns.
      hparams: the agent's.
    """
    outputs, value = network.unroll(params, struct.at(batch.recurrent_state, 0), batch.inputs, batch.is_first)
    distribution = head.distribution(outputs)
    mean = lambda x: losses.masked_mean(x, batch.weight)
    advantage = batch.returns - tf.stop_gradient(value) if hparams.baseline else batch.returns
    if hparams.normalize_advantages:
        centred = advantage - mean(advantage)
        advantage = centred / (tf.sqrt(mean(tf.square(centred))) + 1e-8)
    policy_loss = -mean(distribution.log_prob(batch.raw_action) * advantage)
    entropy = mean(distribution.entropy())
    total = policy_loss - hparams.entropy_cost * entropy
    metrics = {"policy_loss": policy_loss, "entropy": entropy}
    if hparams.baseline:
        value_loss = mean(losses.l2_loss(value - batch.returns))
        total += hparams.value_cost * value_loss
        metrics.update(value_loss=value_loss, value=mean(value))
    return total, metrics


@takes_network
def make(spec: EnvSpec, hparams: VPGHParams, *, loss: Callable[..., tuple[tf.Tensor, Metrics]] = loss) -> Agent:
    """Makes a VPG agent, of the loss above or another; raises ValueError without a policy for the action space."""
    model = hparams.make_model(spec)

    def init(key: random.Key) -> VPGLearner:
        params = model.network.init(key, model.input_spec)
        opt_state = hparams.make_optimizer().init(params)
        return VPGLearner(params, opt_state, _nothing(model, hparams), num_updates=tf.constant(0))

    def learn(learner: VPGLearner, rollout: Rollout, key: random.Key) -> tuple[VPGLearner, Metrics]:
        del key  # nothing is random
        steps = struct.concat([learner.waiting, _steps(model, hparams, learner.params, rollout)])
        batch = ready(steps, hparams.rollout_length)
        mine = lambda params: loss(model.network, model.head, params, batch, hparams)
        optimizer = hparams.make_optimizer(num_updates=learner.num_updates)
        before = Trained(learner.params, learner.opt_state)
        after, metrics = learning.minimise(mine, optimizer, before)
        any_ready = tf.reduce_any(batch.weight > 0)  # or there is nothing to learn from yet
        count = tf.cast(any_ready, tf.float32)
        metrics = {name: struct.Mean(count * x, count) for name, x in metrics.items()}
        waiting = steps._replace(is_learned=steps.is_learned | (batch.weight > 0))
        waiting = struct.at(waiting, slice(hparams.rollout_length, None))
        params, opt_state = struct.where(any_ready, after, before)
        return VPGLearner(params, opt_state, waiting, learner.num_updates + 1), metrics

    def cut(learner: VPGLearner) -> VPGLearner:
        is_last = learner.waiting.is_last
        is_last = tf.concat([is_last[:-1], tf.ones_like(is_last[-1:])], axis=0)
        return learner._replace(waiting=learner.waiting._replace(is_last=is_last))

    return hparams.make_agent(model, init, learn, cut=cut)


def ready(steps: Steps, rollout_length: int) -> Batch:
    """All steps with their returns, and a weight for those whose time has come: their episode or patience ended."""
    has_ended = tf.cumsum(tf.cast(steps.is_last, tf.int32), axis=0, reverse=True) > 0
    is_leaving = tf.range(has_ended.shape[0])[:, tf.newaxis] < rollout_length
    weight = tf.cast(~steps.is_learned & (has_ended | is_leaving), tf.float32)
    value = returns.discounted_returns(steps.reward, steps.discount, steps.v_t, steps.is_last)
    is_first = tf.concat([tf.zeros_like(steps.is_last[:1]), steps.is_last[:-1]], axis=0)
    return Batch(steps.inputs, steps.raw_action, steps.recurrent_state, is_first, value, weight)


def _steps(model: Model, hparams: VPGHParams, params: Nest, rollout: Rollout) -> Steps:
    v_t = tf.zeros_like(rollout.value)
    if hparams.baseline:
        steps = rollout.recurrent_state, rollout.inputs, rollout.next_inputs, rollout.is_last, rollout.discount
        v_t = learning.successor_values(model.network, params, rollout.value, *steps)
    fields = {name: getattr(rollout, name) for name in Steps._fields if hasattr(rollout, name)}
    return Steps(**fields, v_t=v_t, is_learned=tf.zeros_like(rollout.is_last))


def _nothing(model: Model, hparams: VPGHParams) -> Steps:
    """Steps that nothing is to be learned from, of as many rows as may wait."""
    num_envs, rows = hparams.num_envs, hparams.patience * hparams.rollout_length
    number, flag = tf.TensorSpec([], tf.float32), tf.TensorSpec([], tf.bool)
    draw = policies.sample(random.key(0), model.head.distribution(tf.zeros([model.head.num_outputs])))
    recurrent_state = tf.nest.map_structure(lambda x: x[0], model.network.initial_state(1))
    step = Steps(model.input_spec, draw, recurrent_state, flag, number, number, number, flag)
    zeros = tf.nest.map_structure(lambda x: tf.zeros([rows, num_envs, *x.shape], x.dtype), step)
    return zeros._replace(is_last=tf.ones_like(zeros.is_last), is_learned=tf.ones_like(zeros.is_learned))
