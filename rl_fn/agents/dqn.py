"""Deep Q-networks (Mnih et al., 2015), with double Q-learning (van Hasselt et al., 2016) as an option."""

from __future__ import annotations

import dataclasses
from typing import NamedTuple

import tensorflow as tf
from gymnasium import spaces

from rl_fn import losses, networks, optimizers, policies, random, replay, struct
from rl_fn.agents.base import ActorStep, Agent, HParams, Mode, field
from rl_fn.scan import scan
from rl_fn.struct import EnvSpec, Metrics, Nest, Scalar, Transition


@dataclasses.dataclass(frozen=True)
class DQNHParams(HParams):
    rollout_length: int = field(4, "Steps of each environment between two updates.", low=1)
    hidden_sizes: tuple[int, ...] = field((128, 128), "Widths of the hidden layers.")
    learning_rate: Scalar = field(1e-3, "Adam's step size at the start.", above=0.0)
    anneal_learning_rate: bool = field(False, "Whether the step size falls linearly to zero over the run.")
    max_grad_norm: Scalar = field(10.0, "Global norm to which gradients are clipped.", above=0.0)
    replay_capacity: int = field(50_000, "Transitions kept for replay.", low=1)
    learning_starts: int = field(1_000, "Transitions collected before the first gradient step.", low=1)
    batch_size: int = field(64, "Transitions per gradient step.", low=1)
    gradient_steps: int = field(1, "Gradient steps per update.", low=1)
    target_period: int = field(500, "Gradient steps between two copies of the parameters to the target.", low=1)
    double_q: bool = field(True, "Whether the online network chooses the action that the target network values.")
    loss: str = field("huber", "Loss of the TD error; huber turns linear beyond 1.", choices=("huber", "l2"))
    epsilon_initial: Scalar = field(1.0, "Probability of a random action at the start.", low=0.0, high=1.0)
    epsilon_final: Scalar = field(0.05, "Probability of a random action after exploration.", low=0.0, high=1.0)
    exploration_fraction: Scalar = field(0.2, "Share of the run over which epsilon falls.", above=0.0, high=1.0)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.learning_starts > self.replay_capacity:
            raise ValueError(
                f"learning_starts is {self.learning_starts}, expected at most replay_capacity = {self.replay_capacity}"
            )


class DQNPolicy(NamedTuple):
    params: Nest
    updates: tf.Tensor  # int32[]: updates so far, the clock of exploration


class Learner(NamedTuple):
    """The part of the state that a gradient step changes."""

    params: Nest
    target_params: Nest
    opt_state: Nest
    gradient_steps: tf.Tensor  # int32[]


class DQNState(NamedTuple):
    learner: Learner
    replay: replay.ReplayState
    updates: tf.Tensor  # int32[]: calls of update

    @property
    def policy(self) -> DQNPolicy:
        return DQNPolicy(self.learner.params, self.updates)


def make(spec: EnvSpec, hparams: DQNHParams) -> Agent:
    """Makes a DQN agent.

    Raises:
      ValueError: if the action space is not Discrete.
    """
    if not isinstance(spec.action_space, spaces.Discrete):
        raise ValueError(f"dqn needs a Discrete action space, {spec.name} has {spec.action_space}")
    input_spec, flatten = networks.flatten(spec.observation_space)
    network = networks.mlp((*hparams.hidden_sizes, int(spec.action_space.n)))

    def learning_rate(count: tf.Tensor) -> tf.Tensor:
        if not hparams.anneal_learning_rate:
            return hparams.learning_rate
        return hparams.learning_rate * (1 - count / (hparams.gradient_steps * hparams.num_iterations))

    optimizer = optimizers.chain(optimizers.clip_by_global_norm(hparams.max_grad_norm), optimizers.adam(learning_rate))
    buffer = replay.uniform(hparams.replay_capacity, _item_spec(spec))
    exploration_updates = max(1.0, hparams.exploration_fraction * hparams.num_iterations)

    def q_values(params: Nest, observation: Nest) -> tf.Tensor:
        return network.apply(params, flatten(observation))

    def init(key: random.Key) -> DQNState:
        params = network.init(key, input_spec)
        learner = Learner(params, params, optimizer.init(params), gradient_steps=tf.constant(0))
        return DQNState(learner, buffer.init(), updates=tf.constant(0))

    def epsilon(updates: tf.Tensor) -> tf.Tensor:
        progress = tf.minimum(tf.cast(updates, tf.float32) / exploration_updates, 1.0)
        return hparams.epsilon_initial + progress * (hparams.epsilon_final - hparams.epsilon_initial)

    def act(policy: DQNPolicy, actor_state: Nest, observation: Nest, key: random.Key, mode: Mode) -> ActorStep:
        q = q_values(policy.params, observation)
        action = policies.greedy(key, q) if mode == "eval" else policies.epsilon_greedy(key, q, epsilon(policy.updates))
        return ActorStep(action, actor_state, {})

    def loss(params: Nest, target_params: Nest, batch: Transition) -> tuple[tf.Tensor, Metrics]:
        q_tm1 = q_values(params, batch.observation)
        q_t = q_values(target_params, batch.next_observation)
        selector = q_values(params, batch.next_observation) if hparams.double_q else q_t
        discount_t = batch.discount(hparams.gamma)
        error = losses.double_q_learning(q_tm1, batch.action, batch.reward, discount_t, q_t, selector)
        value = tf.reduce_mean(losses.huber_loss(error) if hparams.loss == "huber" else losses.l2_loss(error))
        return value, {"loss": value, "q_value": tf.reduce_mean(q_tm1)}

    def update(state: DQNState, trajectory: Transition, key: random.Key) -> tuple[DQNState, Metrics]:
        stored = buffer.add(state.replay, struct.merge_leading_axes(trajectory))

        def gradient_step(learner: Learner, key: random.Key) -> tuple[Learner, Metrics]:
            batch = buffer.sample(stored, key, hparams.batch_size)
            (_, metrics), grads = struct.value_and_gradient(
                lambda params: loss(params, learner.target_params, batch), learner.params
            )
            updates, opt_state = optimizer.update(grads, learner.opt_state, learner.params)
            params = optimizers.apply_updates(learner.params, updates)
            count = learner.gradient_steps + 1
            target_params = struct.where(count % hparams.target_period == 0, params, learner.target_params)
            return Learner(params, target_params, opt_state, count), metrics

        learner, metrics = scan(gradient_step, state.learner, random.split(key, hparams.gradient_steps))
        ready = stored.size >= hparams.learning_starts
        learner = struct.where(ready, learner, state.learner)
        metrics = tf.nest.map_structure(lambda x: tf.where(ready, tf.reduce_mean(x), float("nan")), metrics)
        metrics["epsilon"] = epsilon(state.updates)
        return DQNState(learner, stored, state.updates + 1), metrics

    return Agent(init, lambda batch_size: (), act, update)


def _item_spec(spec: EnvSpec) -> Transition:
    observation = struct.space_spec(spec.observation_space)
    flag, number = tf.TensorSpec((), tf.bool), tf.TensorSpec((), tf.float32)
    return Transition(observation, struct.space_spec(spec.action_space), number, flag, flag, observation, extras={})
