"""Proximal policy optimisation (Schulman et al., 2017), with a memory where there is something to remember.

The details follow Huang et al. (2022), "The 37 implementation details of proximal policy optimization":
orthogonal initialisation, advantages normalised per minibatch, Adam with epsilon 1e-5, the learning rate
annealed per iteration, the gradient's global norm clipped; for Box actions a deviation that does not depend
on the state, log-probabilities of unclipped actions, running normalisation of observations and rewards.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import NamedTuple

import tensorflow as tf

from rl_fn import learning, losses, networks, policies, random, returns, struct
from rl_fn.agents.base import ActorStep, Agent, Mode, actor_step, check_divides, check_trajectory
from rl_fn.agents.groups import ActorCriticHParams, AdamHParams
from rl_fn.agents.hparams import field, takes_network
from rl_fn.normalization import RewardNormalizer, RunningMoments
from rl_fn.struct import EnvSpec, Metrics, Nest, Scalar, Transition


@dataclasses.dataclass(frozen=True)
class PPOHParams(ActorCriticHParams, AdamHParams):
    rollout_length: int = 128
    sequence_length: int = field(1, "Steps of back-propagation through time; divides rollout_length.", low=1)
    learning_rate: Scalar = 2.5e-4
    anneal_learning_rate: bool = True
    adam_epsilon: Scalar = 1e-5
    max_grad_norm: Scalar = 0.5
    num_epochs: int = field(4, "Passes over each rollout.", low=1)
    num_minibatches: int = field(4, "Minibatches per pass; divides the number of sequences.", low=1)
    gae_lambda: Scalar = field(0.95, "Lambda of generalised advantage estimation.", low=0.0, high=1.0)
    clip_epsilon: Scalar = field(0.2, "Clip range of the probability ratio.", low=0.0)
    clip_value_loss: bool = field(False, "Whether the value loss is clipped by clip_epsilon too.")
    normalize_advantages: bool = field(True, "Whether advantages are normalised per minibatch.")
    normalize_observations: bool = field(False, "Whether observations are normalised by running moments.")
    normalize_rewards: bool = field(False, "Whether rewards are scaled by the deviation of returns.")

    def __post_init__(self) -> None:
        super().__post_init__()
        check_divides("sequence_length", self.sequence_length, "rollout_length", self.rollout_length)
        check_divides("num_minibatches", self.num_minibatches, "the number of sequences", self.num_sequences)
        if self.normalize_advantages and self.schedule.steps == self.num_minibatches:
            one_step = f"num_minibatches is {self.num_minibatches}, which makes minibatches of one step"
            raise ValueError(f"{one_step}, whose normalised advantage is 0: expected fewer minibatches")

    @property
    def num_sequences(self) -> int:
        return self.schedule.steps // self.sequence_length


class PPOPolicy(NamedTuple):
    params: Nest
    observations: RunningMoments  # frozen during a rollout and its update


class PPOState(NamedTuple):
    policy: PPOPolicy
    opt_state: Nest
    rewards: RewardNormalizer


class Sequences(NamedTuple):
    inputs: Nest  # [L, N, ...], N sequences of L steps
    raw_action: tf.Tensor  # [L, N, ...]: before it was clipped
    log_prob: tf.Tensor  # [L, N]: when the experience was collected, as are the value and the recurrent state
    value: tf.Tensor  # [L, N]
    recurrent_state: Nest  # [1, N, ...]: before the first step
    is_first: tf.Tensor  # bool[L, N]: whether the recurrent state was reset before this step
    advantage: tf.Tensor  # [L, N]


def loss(
    network: networks.ActorCritic, head: policies.PolicyHead, params: Nest, batch: Sequences, hparams: PPOHParams
) -> tuple[tf.Tensor, Metrics]:
    """The loss of a minibatch: Schulman et al. (2017), equations 7 and 9, to be minimised.

    Args:
      network: from `params` and `batch.inputs` to the outputs of the policy's head and to values.
      head: from these outputs to distributions of raw actions.
      params: what is learned.
      batch: the minibatch.
      hparams: the agent's.
    """
    outputs, value = network.unroll(params, struct.at(batch.recurrent_state, 0), batch.inputs, batch.is_first)
    distribution = head.distribution(outputs)
    log_ratio = distribution.log_prob(batch.raw_action) - batch.log_prob
    advantage = batch.advantage
    if hparams.normalize_advantages:
        advantage = (advantage - tf.reduce_mean(advantage)) / (tf.math.reduce_std(advantage) + 1e-8)
    policy_loss = tf.reduce_mean(losses.clipped_surrogate_pg_loss(tf.exp(log_ratio), advantage, hparams.clip_epsilon))
    target = batch.advantage + batch.value
    if hparams.clip_value_loss:
        value_loss = tf.reduce_mean(losses.clipped_value_loss(value, batch.value, target, hparams.clip_epsilon))
    else:
        value_loss = tf.reduce_mean(losses.l2_loss(value - target))
    entropy = tf.reduce_mean(distribution.entropy())
    total = policy_loss + hparams.value_cost * value_loss - hparams.entropy_cost * entropy
    return total, {
        "policy_loss": policy_loss,
        "value_loss": value_loss,
        "value": tf.reduce_mean(value),
        "entropy": entropy,
        "approximate_kl": tf.reduce_mean(tf.exp(log_ratio) - 1 - log_ratio),
        "clip_fraction": tf.reduce_mean(tf.cast(tf.abs(tf.exp(log_ratio) - 1) > hparams.clip_epsilon, tf.float32)),
    }


@takes_network
def make(spec: EnvSpec, hparams: PPOHParams, *, loss: Callable[..., tuple[tf.Tensor, Metrics]] = loss) -> Agent:
    """Makes a PPO agent, of the loss above or another; raises ValueError without a policy for the action space."""
    head = policies.policy_head(spec.action_space)
    network, input_spec, to_inputs = hparams.make_network(spec)
    optimizer = hparams.make_optimizer(hparams.num_epochs * hparams.num_minibatches)

    def init(key: random.Key) -> PPOState:
        params = network.init(key, input_spec)
        policy = PPOPolicy(params, RunningMoments.init(input_spec))
        return PPOState(policy, optimizer.init(params), RewardNormalizer.init(hparams.num_envs))

    def normalized(policy: PPOPolicy, observation: Nest) -> tf.Tensor:
        inputs = to_inputs(observation)
        return policy.observations.normalize(inputs, clip=10.0) if hparams.normalize_observations else inputs

    def act(policy: PPOPolicy, recurrent_state: Nest, observation: Nest, key: random.Key, mode: Mode) -> ActorStep:
        (outputs, value), after = network.step(policy.params, recurrent_state, normalized(policy, observation))
        return actor_step(head, outputs, key, mode, after, value=value, recurrent_state=recurrent_state)

    def gradient_step(trained: learning.Trained, batch: Sequences) -> tuple[learning.Trained, Metrics]:
        return learning.minimise(lambda params: loss(network, head, params, batch, hparams), optimizer, trained)

    def update(state: PPOState, trajectory: Transition, key: random.Key) -> tuple[PPOState, Metrics]:
        check_trajectory(hparams.schedule, trajectory)
        policy, rewards, reward = state.policy, state.rewards, trajectory.reward
        if hparams.normalize_rewards:
            rewards = rewards.update(reward, trajectory.is_last, hparams.gamma)
            reward = rewards.normalize(reward, clip=10.0)
        inputs = normalized(policy, trajectory.observation)
        next_inputs, extras = normalized(policy, trajectory.next_observation), trajectory.extras
        v_t = learning.successor_values(network, policy.params, extras["recurrent_state"], inputs, next_inputs)
        advantage = returns.generalized_advantage_estimation(
            reward, trajectory.discount(hparams.gamma), extras["value"], v_t, hparams.gae_lambda, trajectory.is_last
        )
        steps = Sequences(**extras, is_first=trajectory.is_first, inputs=inputs, advantage=advantage)
        sequences = learning.in_sequences(steps, hparams.sequence_length)
        sequences = sequences._replace(recurrent_state=struct.at(sequences.recurrent_state, slice(1)))
        trained = learning.Trained(policy.params, state.opt_state)
        passes = (hparams.num_epochs, hparams.num_minibatches)
        (params, opt_state), metrics = learning.over_minibatches(gradient_step, trained, sequences, key, *passes)
        moments = policy.observations
        if hparams.normalize_observations:
            moments = moments.update(to_inputs(trajectory.observation))
        state = PPOState(PPOPolicy(params, moments), opt_state, rewards)
        return state, tf.nest.map_structure(tf.reduce_mean, metrics)

    return Agent(hparams.schedule, init, network.initial_state, act, update)
