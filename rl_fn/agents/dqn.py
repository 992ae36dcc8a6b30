"""Deep Q-networks (Mnih et al., 2015), with double Q-learning (van Hasselt et al., 2016) as an option."""

from __future__ import annotations

import dataclasses

import tensorflow as tf

from rl_fn import losses, networks, optimizers, policies, random, replay
from rl_fn.agents.base import ActorStep, Agent, Mode, field, num_actions
from rl_fn.agents.off_policy import (
    Learned,
    OffPolicyHParams,
    OffPolicyPolicy,
    OffPolicyState,
    Sampled,
    TargetLearner,
    target_gradient_step,
    update_from_replay,
)
from rl_fn.struct import EnvSpec, Metrics, Nest, Scalar, Transition


@dataclasses.dataclass(frozen=True)
class DQNHParams(OffPolicyHParams):
    rollout_length: int = field(4, "Steps of each environment between two updates.", low=1)
    torso: str = field("mlp", "What reads the observation.", choices=networks.TORSOS)
    hidden_sizes: tuple[int, ...] = field((128, 128), "Widths of the hidden layers.")
    learning_rate: Scalar = field(1e-3, "Adam's step size at the start.", above=0.0)
    anneal_learning_rate: bool = field(False, "Whether the step size falls linearly to zero over the run.")
    max_grad_norm: Scalar = field(10.0, "Global norm to which gradients are clipped.", above=0.0)
    target_period: int = field(500, "Gradient steps between two copies of the parameters to the target.", low=1)
    double_q: bool = field(True, "Whether the online network chooses the action that the target network values.")
    loss: str = field("huber", "Loss of the TD error; huber turns linear beyond 1.", choices=("huber", "l2"))
    epsilon_initial: Scalar = field(1.0, "Probability of a random action at the start.", low=0.0, high=1.0)
    epsilon_final: Scalar = field(0.05, "Probability of a random action after exploration.", low=0.0, high=1.0)
    exploration_fraction: Scalar = field(0.2, "Share of the run over which epsilon falls.", above=0.0, high=1.0)


def make(spec: EnvSpec, hparams: DQNHParams) -> Agent:
    """Makes a DQN agent.

    Raises:
      ValueError: if the action space is not Discrete.
    """
    actions = num_actions("dqn", spec)
    torso, input_spec, to_inputs = networks.torso(hparams.torso, spec.observation_space, hparams.hidden_sizes)
    network = networks.sequential(torso=torso, head=networks.dense(actions))
    buffer = replay.uniform_from(hparams.store(spec))
    total_steps = hparams.gradient_steps * hparams.num_iterations

    def learning_rate(count: tf.Tensor) -> tf.Tensor:
        return (
            hparams.learning_rate * (1 - count / total_steps)
            if hparams.anneal_learning_rate
            else (hparams.learning_rate)
        )

    optimizer = optimizers.flatten(
        optimizers.chain(optimizers.clip_by_global_norm(hparams.max_grad_norm), optimizers.adam(learning_rate))
    )

    def init(key: random.Key) -> OffPolicyState:
        params = network.init(key, input_spec)
        learner = TargetLearner(params, params, optimizer.init(params), gradient_steps=tf.constant(0))
        return OffPolicyState(learner, buffer.init(), updates=tf.constant(0))

    def q_values(params: Nest, observation: Nest) -> tf.Tensor:
        return network.apply(params, to_inputs(observation))

    def epsilon(updates: tf.Tensor) -> tf.Tensor:
        steps = max(1.0, hparams.exploration_fraction * hparams.num_iterations)
        progress = tf.minimum(tf.cast(updates, tf.float32) / steps, 1.0)
        return hparams.epsilon_initial + progress * (hparams.epsilon_final - hparams.epsilon_initial)

    def act(policy: OffPolicyPolicy, actor_state: Nest, observation: Nest, key: random.Key, mode: Mode) -> ActorStep:
        q = q_values(policy.params, observation)
        action = policies.greedy(key, q) if mode == "eval" else policies.epsilon_greedy(key, q, epsilon(policy.updates))
        return ActorStep(action, actor_state, {})

    def loss(params: Nest, target_params: Nest, sample: Sampled, key: random.Key) -> tuple[tf.Tensor, Learned]:
        del key  # nothing is random
        batch = sample.items
        q_tm1 = q_values(params, batch.observation)
        q_t = q_values(target_params, batch.next_observation)
        selector = q_values(params, batch.next_observation) if hparams.double_q else q_t
        error = losses.double_q_learning(q_tm1, batch.action, batch.reward, batch.discount, q_t, selector)
        each = losses.huber_loss(error) if hparams.loss == "huber" else losses.l2_loss(error)
        value = tf.reduce_mean(sample.weights * each)
        return value, Learned({"loss": value, "q_value": tf.reduce_mean(q_tm1)}, tf.abs(error))

    learn = update_from_replay(buffer, target_gradient_step(loss, optimizer, hparams.target_period), hparams)

    def update(state: OffPolicyState, trajectory: Transition, key: random.Key) -> tuple[OffPolicyState, Metrics]:
        successor, metrics = learn(state, trajectory, key)
        return successor, {**metrics, "epsilon": epsilon(state.updates)}

    return Agent(hparams.schedule, init, lambda batch_size: (), act, update)
