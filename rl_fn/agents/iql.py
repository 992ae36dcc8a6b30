"""Implicit Q-learning, IQL: values of the best actions in a data set, without a query of any other.

Kostrikov, Nair and Levine (2021), "Offline reinforcement learning with implicit Q-learning".
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import NamedTuple

import tensorflow as tf
from gymnasium import spaces

from rl_fn import learning, losses, networks, optimizers, random, replay, updates
from rl_fn.agents.base import Agent
from rl_fn.agents.groups import AdamHParams
from rl_fn.agents.hparams import field, takes_network
from rl_fn.agents.offline import ImitationHParams, Imitator
from rl_fn.learning import Learned, Trained
from rl_fn.struct import EnvSpec, Metrics, Nest, Scalar, Transition

Loss = Callable[..., tuple[tf.Tensor, Metrics]]


@dataclasses.dataclass(frozen=True)
class IQLHParams(ImitationHParams, AdamHParams):
    learning_rate: Scalar = 3e-4
    value_cost: Scalar = 1.0
    critic_learning_rate: Scalar = field(3e-4, "Adam's step size for the critics.", above=0.0)
    target_step_size: Scalar = field(0.005, "How far the targets move per gradient step.", above=0.0, high=1.0)
    expectile: Scalar = field(0.7, "Of the values: a half is the mean, one the largest.", above=0.0, high=0.9999)
    temperature: Scalar = field(0.33, "Of the weights: advantages that are worth a factor of e.", above=0.0)
    max_weight: Scalar = field(100.0, "The largest weight of an action.", above=0.0)


class IQLLearner(NamedTuple):
    actor: Trained  # of policy and value
    critics: Trained
    target_params: Nest  # of the critics

    @property
    def actor_params(self) -> Nest:
        return self.actor.params


def actor_loss(
    imitator: Imitator, params: Nest, q_tm1: tf.Tensor, sample: replay.Sample, hparams: IQLHParams
) -> tuple[tf.Tensor, Metrics]:
    """The loss of value and policy, a scalar: Kostrikov et al. (2021), equations 5 and 7.

    Args:
      imitator: policy and value.
      params: theirs.
      q_tm1: `[N]`, the smaller of the target critics' values.
      sample: what was drawn.
      hparams: the agent's.
    """
    outputs, v_tm1 = imitator.outputs(params, sample.items.observation)
    value_loss = tf.reduce_mean(losses.expectile_value_loss(v_tm1, q_tm1, hparams.expectile))
    log_prob = imitator.log_prob(outputs, sample.items.action)
    advantage = q_tm1 - v_tm1
    each = losses.advantage_weighted_regression_loss(log_prob, advantage, hparams.temperature, hparams.max_weight)
    entropy = tf.reduce_mean(imitator.head.distribution(outputs).entropy())
    policy_loss = tf.reduce_mean(each) - hparams.entropy_cost * entropy
    metrics = {"value_loss": value_loss, "policy_loss": policy_loss, "value": tf.reduce_mean(v_tm1)}
    return policy_loss + hparams.value_cost * value_loss, {**metrics, "advantage": tf.reduce_mean(advantage)}


def critic_loss(q_tm1: tf.Tensor, v_t: tf.Tensor, sample: replay.Sample) -> tuple[tf.Tensor, Metrics]:
    """The loss of both critics, of values `[N, 2]`, a scalar: Kostrikov et al. (2021), equation 6."""
    target = tf.stop_gradient(sample.items.reward + sample.items.discount * v_t)
    value = tf.reduce_mean(tf.reduce_sum(losses.l2_loss(target[:, tf.newaxis] - q_tm1), axis=-1))
    return value, {"critic_loss": value, "q_value": tf.reduce_mean(q_tm1)}


@takes_network
def make(
    spec: EnvSpec,
    hparams: IQLHParams,
    *,
    data: Transition | None = None,
    actor_loss: Loss = actor_loss,
    critic_loss: Loss = critic_loss,
) -> Agent:
    """Makes an IQL agent of a data set, of the losses above or others.

    Raises:
      ValueError: if the action space is neither Discrete nor a Box, or the data are not of that environment.
    """
    if not isinstance(spec.action_space, spaces.Discrete | spaces.Box):
        raise ValueError(f"iql needs a Discrete action space or a Box, {spec.name} has {spec.action_space}")
    hparams = hparams.of_size(data)
    imitator, optimizer = hparams.make_imitator(spec), hparams.make_optimizer(hparams.gradient_steps)
    critic_optimizer = optimizers.flatten(optimizers.adam(hparams.critic_learning_rate))
    is_discrete = isinstance(spec.action_space, spaces.Discrete)
    size = imitator.head.num_outputs if is_discrete else imitator.head.num_outputs // 2
    critics = learning.critics(networks.mlp((*hparams.hidden_sizes, 1)))
    num_inputs = math.prod(imitator.input_spec.shape)  # of images, too, which the critics see as a vector
    critic_spec = tf.TensorSpec([num_inputs + size], tf.float32)

    def init(key: random.Key) -> IQLLearner:
        actor_key, critic_key = tf.unstack(random.split(key))
        params = critics.init(critic_key, critic_spec)
        actor = learning.init_trained(imitator.network.init(actor_key, imitator.input_spec), optimizer)
        return IQLLearner(actor, learning.init_trained(params, critic_optimizer), params)

    def values(params: Nest, sample: replay.Sample) -> tf.Tensor:
        draw = imitator.head.to_draw(sample.items.action)
        taken = tf.one_hot(draw, size) if is_discrete else draw
        inputs = tf.reshape(imitator.to_inputs(sample.items.observation), [-1, num_inputs])
        return tf.squeeze(critics.apply(params, learning.with_action(inputs, taken)), axis=-1)

    def gradient_step(learner: IQLLearner, sample: replay.Sample, key: random.Key) -> tuple[IQLLearner, Learned]:
        del key  # nothing is random
        q_tm1 = tf.reduce_min(values(learner.target_params, sample), axis=-1)
        of_actor = lambda params: actor_loss(imitator, params, tf.stop_gradient(q_tm1), sample, hparams)
        actor, metrics = learning.minimise(of_actor, optimizer, learner.actor, "actor_")
        _, v_t = imitator.outputs(actor.params, sample.items.next_observation)
        of_critics = lambda params: critic_loss(values(params, sample), v_t, sample)
        trained, more = learning.minimise(of_critics, critic_optimizer, learner.critics, "critic_")
        targets = updates.incremental_update(trained.params, learner.target_params, hparams.target_step_size)
        return IQLLearner(actor, trained, targets), Learned(metrics | more, tf.ones_like(sample.weights))

    agent = hparams.make_agent(hparams.make_replay(spec), init, imitator.choose, gradient_step)
    return hparams.filled(agent, spec, data)
