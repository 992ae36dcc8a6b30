"""Proximal policy optimisation (Schulman et al., 2017) for discrete actions.

The details follow Huang et al. (2022), "The 37 implementation details of proximal policy optimization":
orthogonal initialisation, advantages normalised per minibatch, Adam with epsilon 1e-5, the learning rate
annealed per iteration, and the gradient's global norm clipped.
"""

from __future__ import annotations

import dataclasses
from typing import NamedTuple

import tensorflow as tf
from gymnasium import spaces

from rl_fn import losses, networks, optimizers, policies, random, returns, struct
from rl_fn.agents.base import ActorStep, Agent, HParams, Mode, field
from rl_fn.scan import scan
from rl_fn.struct import EnvSpec, Metrics, Nest, Scalar, Transition


@dataclasses.dataclass(frozen=True)
class PPOHParams(HParams):
    num_envs: int = field(8, "Environments stepped side by side.", low=1)
    rollout_length: int = field(128, "Steps of each environment between two updates.", low=1)
    hidden_sizes: tuple[int, ...] = field((64, 64), "Widths of the hidden layers of policy and value.")
    shared_torso: bool = field(False, "Whether policy and value share their hidden layers.")
    learning_rate: Scalar = field(2.5e-4, "Adam's step size at the start.", above=0.0)
    anneal_learning_rate: bool = field(True, "Whether the step size falls linearly to zero over the run.")
    adam_epsilon: Scalar = field(1e-5, "Adam's epsilon.", above=0.0)
    max_grad_norm: Scalar = field(0.5, "Global norm to which gradients are clipped.", above=0.0)
    num_epochs: int = field(4, "Passes over each rollout.", low=1)
    num_minibatches: int = field(4, "Minibatches per pass; must divide num_envs * rollout_length.", low=1)
    gae_lambda: Scalar = field(0.95, "Lambda of generalised advantage estimation.", low=0.0, high=1.0)
    clip_epsilon: Scalar = field(0.2, "Clip range of the probability ratio.", low=0.0)
    clip_value_loss: bool = field(True, "Whether the value loss is clipped by clip_epsilon too.")
    normalize_advantages: bool = field(True, "Whether advantages are normalised per minibatch.")
    entropy_cost: Scalar = field(0.01, "Weight of the entropy bonus.", low=0.0)
    value_cost: Scalar = field(0.5, "Weight of the value loss.", low=0.0)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.num_envs * self.rollout_length % self.num_minibatches:
            raise ValueError(
                f"num_minibatches is {self.num_minibatches}, expected a divisor of num_envs * rollout_length = "
                f"{self.num_envs * self.rollout_length}"
            )


class PPOState(NamedTuple):
    params: Nest  # {"policy", "value"}, and "torso" where it is shared
    opt_state: Nest

    @property
    def policy(self) -> Nest:
        return self.params


class Minibatch(NamedTuple):
    observation: tf.Tensor  # [N, ...]
    action: tf.Tensor  # int32[N]
    log_prob: tf.Tensor  # [N]: when the experience was collected, as is the value
    value: tf.Tensor  # [N]
    advantage: tf.Tensor  # [N]


def make(spec: EnvSpec, hparams: PPOHParams) -> Agent:
    """Makes a PPO agent.

    Raises:
      ValueError: if the action space is not Discrete.
    """
    if not isinstance(spec.action_space, spaces.Discrete):
        raise ValueError(f"ppo needs a Discrete action space, {spec.name} has {spec.action_space}")
    input_spec, flatten = networks.flatten(spec.observation_space)
    network = _network(int(spec.action_space.n), hparams)
    batch_size = hparams.num_envs * hparams.rollout_length // hparams.num_minibatches
    steps_per_update = hparams.num_epochs * hparams.num_minibatches

    def learning_rate(count: tf.Tensor) -> tf.Tensor:
        if not hparams.anneal_learning_rate:
            return hparams.learning_rate
        return hparams.learning_rate * (1 - (count // steps_per_update) / hparams.num_iterations)

    optimizer = optimizers.chain(
        optimizers.clip_by_global_norm(hparams.max_grad_norm),
        optimizers.adam(learning_rate, epsilon=hparams.adam_epsilon),
    )

    def init(key: random.Key) -> PPOState:
        params = network.init(key, input_spec)
        return PPOState(params, optimizer.init(params))

    def evaluate(params: Nest, observation: Nest) -> tuple[tf.Tensor, tf.Tensor]:
        outputs = network.apply(params, flatten(observation))
        return outputs["policy"], tf.squeeze(outputs["value"], axis=-1)

    def act(params: Nest, actor_state: Nest, observation: Nest, key: random.Key, mode: Mode) -> ActorStep:
        logits, value = evaluate(params, observation)
        if mode == "eval":
            return ActorStep(policies.greedy(key, logits), actor_state, {})
        distribution = policies.categorical(logits)
        action = policies.sample(key, distribution)
        return ActorStep(action, actor_state, {"log_prob": distribution.log_prob(action), "value": value})

    def loss(params: Nest, batch: Minibatch) -> tuple[tf.Tensor, Metrics]:
        logits, value = evaluate(params, batch.observation)
        distribution = policies.categorical(logits)
        log_ratio = distribution.log_prob(batch.action) - batch.log_prob
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
            "entropy": entropy,
            "approximate_kl": tf.reduce_mean(tf.exp(log_ratio) - 1 - log_ratio),
            "clip_fraction": tf.reduce_mean(tf.cast(clipped, tf.float32)),
        }

    def advantages(params: Nest, trajectory: Transition) -> tf.Tensor:
        _, v_t = evaluate(params, trajectory.next_observation)
        return returns.generalized_advantage_estimation(
            trajectory.reward,
            trajectory.discount(hparams.gamma),
            trajectory.extras["value"],
            v_t,
            hparams.gae_lambda,
            trajectory.is_last,
        )

    def update(state: PPOState, trajectory: Transition, key: random.Key) -> tuple[PPOState, Metrics]:
        experience = struct.merge_leading_axes(
            Minibatch(
                observation=trajectory.observation,
                action=trajectory.action,
                log_prob=trajectory.extras["log_prob"],
                value=trajectory.extras["value"],
                advantage=advantages(state.params, trajectory),
            )
        )
        orders = random.permutation(key, batch_size * hparams.num_minibatches, [hparams.num_epochs])
        rows_per_step = tf.reshape(orders, [steps_per_update, batch_size])

        def gradient_step(state: PPOState, rows: tf.Tensor) -> tuple[PPOState, Metrics]:
            batch = tf.nest.map_structure(lambda x: tf.gather(x, rows), experience)
            (_, metrics), grads = struct.value_and_gradient(lambda params: loss(params, batch), state.params)
            updates, opt_state = optimizer.update(grads, state.opt_state, state.params)
            return PPOState(optimizers.apply_updates(state.params, updates), opt_state), metrics

        state, metrics = scan(gradient_step, state, rows_per_step)
        return state, tf.nest.map_structure(tf.reduce_mean, metrics)

    return Agent(init, lambda batch_size: (), act, update)


def _network(num_actions: int, hparams: PPOHParams) -> networks.Network:
    root_two = networks.orthogonal(2**0.5)

    def tanh_mlp(sizes: tuple[int, ...], final_scale: float, activate_final: bool = False) -> networks.Network:
        return networks.mlp(sizes, tf.tanh, root_two, networks.orthogonal(final_scale), activate_final)

    if hparams.shared_torso:
        return networks.shared(
            tanh_mlp(hparams.hidden_sizes, 2**0.5, activate_final=True),
            policy=tanh_mlp((num_actions,), 0.01),
            value=tanh_mlp((1,), 1.0),
        )
    return networks.separate(
        policy=tanh_mlp((*hparams.hidden_sizes, num_actions), 0.01),
        value=tanh_mlp((*hparams.hidden_sizes, 1), 1.0),
    )
