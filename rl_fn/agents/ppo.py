"""Proximal policy optimisation (Schulman et al., 2017), with a memory where there is something to remember.

The details follow Huang et al. (2022), "The 37 implementation details of proximal policy optimization":
orthogonal initialisation, advantages normalised per minibatch, Adam with epsilon 1e-5, the learning rate
annealed per iteration, the gradient's global norm clipped; for Box actions a deviation that does not depend
on the state, log-probabilities of unclipped actions, and running normalisation of observations and rewards.
"""

from __future__ import annotations

import dataclasses
from typing import NamedTuple

import tensorflow as tf

from rl_fn import losses, networks, optimizers, policies, random, returns, struct
from rl_fn._src.scan import scan
from rl_fn.agents.base import ActorStep, Agent, HParams, Mode, check_divides, field
from rl_fn.normalization import RewardNormalizer, RunningMoments
from rl_fn.struct import EnvSpec, Metrics, Nest, Scalar, Transition


@dataclasses.dataclass(frozen=True)
class PPOHParams(HParams):
    num_envs: int = field(8, "Environments stepped side by side.", low=1)
    rollout_length: int = field(128, "Steps of each environment between two updates.", low=1)
    torso: str = field("mlp", "What reads the observation.", choices=networks.TORSOS)
    hidden_sizes: tuple[int, ...] = field((64, 64), "Widths of the hidden layers of policy and value.")
    activation: str = field("tanh", "After each hidden layer.", choices=tuple(networks.ACTIVATIONS))
    shared_torso: bool = field(False, "Whether policy and value share their hidden layers.")
    memory: str = field("none", "Recurrent network between torso and heads.", choices=networks.MEMORIES)
    memory_units: int = field(64, "Size of the memory.", low=1)
    sequence_length: int = field(1, "Steps of back-propagation through time; divides rollout_length.", low=1)
    learning_rate: Scalar = field(2.5e-4, "Adam's step size at the start.", above=0.0)
    anneal_learning_rate: bool = field(True, "Whether the step size falls linearly to zero over the run.")
    adam_epsilon: Scalar = field(1e-5, "Adam's epsilon.", above=0.0)
    max_grad_norm: Scalar = field(0.5, "Global norm to which gradients are clipped.", above=0.0)
    num_epochs: int = field(4, "Passes over each rollout.", low=1)
    num_minibatches: int = field(4, "Minibatches per pass; divides the number of sequences.", low=1)
    gae_lambda: Scalar = field(0.95, "Lambda of generalised advantage estimation.", low=0.0, high=1.0)
    clip_epsilon: Scalar = field(0.2, "Clip range of the probability ratio.", low=0.0)
    clip_value_loss: bool = field(True, "Whether the value loss is clipped by clip_epsilon too.")
    normalize_advantages: bool = field(True, "Whether advantages are normalised per minibatch.")
    normalize_observations: bool = field(False, "Whether observations are normalised by running moments.")
    normalize_rewards: bool = field(False, "Whether rewards are scaled by the deviation of returns.")
    entropy_cost: Scalar = field(0.01, "Weight of the entropy bonus.", low=0.0)
    value_cost: Scalar = field(0.5, "Weight of the value loss.", low=0.0)

    def __post_init__(self) -> None:
        super().__post_init__()
        check_divides("sequence_length", self.sequence_length, "rollout_length", self.rollout_length)
        check_divides("num_minibatches", self.num_minibatches, "the number of sequences", self.num_sequences)

    @property
    def num_sequences(self) -> int:
        """Sequences in a rollout; minibatches are made of whole ones."""
        return self.num_envs * self.rollout_length // self.sequence_length


class PPOPolicy(NamedTuple):
    params: Nest
    observations: RunningMoments  # frozen during a rollout and its update


class PPOState(NamedTuple):
    policy: PPOPolicy
    opt_state: Nest
    rewards: RewardNormalizer


class Sequences(NamedTuple):
    """Experience as N sequences of L steps."""

    inputs: tf.Tensor  # [L, N, ...]
    draw: tf.Tensor  # [L, N, ...]: the action before it was clipped
    log_prob: tf.Tensor  # [L, N]: when the experience was collected, as are the value and the memory
    value: tf.Tensor  # [L, N]
    memory: Nest  # [1, N, ...]: before the first step
    is_first: tf.Tensor  # bool[L, N]: whether the memory was reset before this step
    advantage: tf.Tensor  # [L, N]


def make(spec: EnvSpec, hparams: PPOHParams) -> Agent:
    """Makes a PPO agent.

    Raises:
      ValueError: if there is no policy for the action space.
    """
    head = policies.policy_head(spec.action_space)
    network, input_spec, to_inputs = networks.policy_and_value(
        spec.observation_space,
        spec.action_space,
        torso=hparams.torso,
        hidden_sizes=hparams.hidden_sizes,
        activation=hparams.activation,
        shared_torso=hparams.shared_torso,
        memory=hparams.memory,
        memory_units=hparams.memory_units,
    )
    steps_per_update = hparams.num_epochs * hparams.num_minibatches

    def learning_rate(count: tf.Tensor) -> tf.Tensor:
        if not hparams.anneal_learning_rate:
            return hparams.learning_rate
        return hparams.learning_rate * (1 - (count // steps_per_update) / hparams.num_iterations)

    optimizer = optimizers.flatten(
        optimizers.chain(
            optimizers.clip_by_global_norm(hparams.max_grad_norm),
            optimizers.adam(learning_rate, epsilon=hparams.adam_epsilon),
        )
    )

    def init(key: random.Key) -> PPOState:
        params = network.init(key, input_spec)
        policy = PPOPolicy(params, RunningMoments.init(input_spec))
        return PPOState(policy, optimizer.init(params), RewardNormalizer.init(hparams.num_envs))

    def normalized(policy: PPOPolicy, observation: Nest) -> tf.Tensor:
        inputs = to_inputs(observation)
        return policy.observations.normalize(inputs, clip=10.0) if hparams.normalize_observations else inputs

    def act(policy: PPOPolicy, memory: Nest, observation: Nest, key: random.Key, mode: Mode) -> ActorStep:
        (outputs, value), after = network.step(policy.params, memory, normalized(policy, observation))
        distribution = head.distribution(outputs)
        if mode == "eval":
            return ActorStep(head.to_action(policies.mode(distribution)), after, {})
        draw = policies.sample(key, distribution)
        extras = {"draw": draw, "log_prob": distribution.log_prob(draw), "value": value, "memory": memory}
        return ActorStep(head.to_action(draw), after, extras)

    def advantages(policy: PPOPolicy, trajectory: Transition, inputs: tf.Tensor, reward: tf.Tensor) -> tf.Tensor:
        _, after = network.step(policy.params, trajectory.extras["memory"], inputs)
        (_, v_t), _ = network.step(policy.params, after, normalized(policy, trajectory.next_observation))
        discount_t, v_tm1 = trajectory.discount(hparams.gamma), trajectory.extras["value"]
        return returns.generalized_advantage_estimation(
            reward, discount_t, v_tm1, v_t, hparams.gae_lambda, trajectory.is_last
        )

    def loss(params: Nest, batch: Sequences) -> tuple[tf.Tensor, Metrics]:
        start = tf.nest.map_structure(lambda x: x[0], batch.memory)
        outputs, value = network.unroll(params, start, batch.inputs, batch.is_first)
        distribution = head.distribution(outputs)
        log_ratio = distribution.log_prob(batch.draw) - batch.log_prob
        advantage = batch.advantage
        if hparams.normalize_advantages:
            advantage = (advantage - tf.reduce_mean(advantage)) / (tf.math.reduce_std(advantage) + 1e-8)
        policy_loss = tf.reduce_mean(
            losses.clipped_surrogate_pg_loss(tf.exp(log_ratio), advantage, hparams.clip_epsilon)
        )
        target = batch.advantage + batch.value
        if hparams.clip_value_loss:
            value_loss = tf.reduce_mean(losses.clipped_value_loss(value, batch.value, target, hparams.clip_epsilon))
        else:
            value_loss = tf.reduce_mean(losses.l2_loss(value - target))
        entropy = tf.reduce_mean(distribution.entropy())
        total = policy_loss + hparams.value_cost * value_loss - hparams.entropy_cost * entropy
        clipped = tf.abs(tf.exp(log_ratio) - 1) > hparams.clip_epsilon
        return total, {
            "policy_loss": policy_loss,
            "value_loss": value_loss,
            "value": tf.reduce_mean(value),
            "entropy": entropy,
            "approximate_kl": tf.reduce_mean(tf.exp(log_ratio) - 1 - log_ratio),
            "clip_fraction": tf.reduce_mean(tf.cast(clipped, tf.float32)),
        }

    def update(state: PPOState, trajectory: Transition, key: random.Key) -> tuple[PPOState, Metrics]:
        policy, rewards, reward = state.policy, state.rewards, trajectory.reward
        if hparams.normalize_rewards:
            rewards = rewards.update(reward, trajectory.is_last, hparams.gamma)
            reward = rewards.normalize(reward, clip=10.0)
        inputs = normalized(policy, trajectory.observation)
        # The memory before the first step of a rollout has been reset already where an episode began.
        is_first = tf.concat([tf.zeros_like(trajectory.is_last[:1]), trajectory.is_last[:-1]], axis=0)
        extras = {**trajectory.extras, "is_first": is_first, "inputs": inputs}
        steps = Sequences(**extras, advantage=advantages(policy, trajectory, inputs, reward))
        sequences = tf.nest.map_structure(lambda x: _in_sequences(x, hparams.sequence_length), steps)
        sequences = sequences._replace(memory=tf.nest.map_structure(lambda x: x[:1], sequences.memory))
        orders = random.permutation(key, hparams.num_sequences, [hparams.num_epochs])
        rows_per_step = tf.reshape(orders, [steps_per_update, hparams.num_sequences // hparams.num_minibatches])

        def gradient_step(carry: tuple[Nest, Nest], rows: tf.Tensor) -> tuple[tuple[Nest, Nest], Metrics]:
            params, opt_state = carry
            batch = tf.nest.map_structure(lambda x: tf.gather(x, rows, axis=1), sequences)
            (_, metrics), grads = struct.value_and_gradient(lambda params: loss(params, batch), params)
            updates, opt_state = optimizer.update(grads, opt_state, params)
            return (optimizers.apply_updates(params, updates), opt_state), metrics

        (params, opt_state), metrics = scan(gradient_step, (policy.params, state.opt_state), rows_per_step)
        moments = policy.observations
        if hparams.normalize_observations:
            moments = moments.update(to_inputs(trajectory.observation))
        state = PPOState(PPOPolicy(params, moments), opt_state, rewards)
        return state, tf.nest.map_structure(tf.reduce_mean, metrics)

    return Agent(hparams.schedule, init, network.initial_state, act, update)


def _in_sequences(x: tf.Tensor, length: int) -> tf.Tensor:
    """Cuts steps `[T, B, ...]` into sequences `[length, T / length * B, ...]`."""
    chunks = tf.reshape(x, [x.shape[0] // length, length, *x.shape[1:]])
    chunks = tf.transpose(chunks, [1, 0, *range(2, chunks.shape.rank)])
    return tf.reshape(chunks, [length, chunks.shape[1] * chunks.shape[2], *x.shape[2:]])
