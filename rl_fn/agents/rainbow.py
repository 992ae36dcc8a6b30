"""Rainbow (Hessel et al., 2018): six improvements of DQN, each a line or two of `make` marked by its name."""

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
from rl_fn.struct import EnvSpec, Nest, Scalar


@dataclasses.dataclass(frozen=True)
class RainbowHParams(OffPolicyHParams):
    n_step: int = field(3, "Steps of reward before a target bootstraps.", low=1)
    torso: str = field("mlp", "What reads the observation.", choices=networks.TORSOS)
    hidden_sizes: tuple[int, ...] = field((128,), "Widths of the torso's hidden layers.")
    stream_sizes: tuple[int, ...] = field((128,), "Widths of the hidden layers of value and advantage.")
    num_atoms: int = field(51, "Atoms of the distribution over returns.", low=2)
    v_min: Scalar = field(-10.0, "The smallest return.")
    v_max: Scalar = field(10.0, "The largest return.")
    noise_deviation: float = field(0.5, "Initial deviation of the noisy layers.", low=0.0)
    priority_exponent: Scalar = field(0.5, "How much priorities count in sampling.", low=0.0)
    importance_exponent: Scalar = field(0.4, "Of the importance weights at the start; 1 at the end.", low=0.0, high=1.0)
    learning_rate: Scalar = field(1e-3, "Adam's step size.", above=0.0)
    max_grad_norm: Scalar = field(10.0, "Global norm to which gradients are clipped.", above=0.0)
    target_period: int = field(500, "Gradient steps between two copies of the parameters to the target.", low=1)

    def __post_init__(self) -> None:
        super().__post_init__()
        numbers = isinstance(self.v_min, float) and isinstance(self.v_max, float)
        if numbers and self.v_min >= self.v_max:
            raise ValueError(f"v_min is {self.v_min:g}, expected less than v_max = {self.v_max:g}")


def make(spec: EnvSpec, hparams: RainbowHParams) -> Agent:
    """Makes a Rainbow agent.

    Raises:
      ValueError: if the action space is not Discrete.
    """
    actions = num_actions("rainbow", spec)
    torso, input_spec, to_inputs = networks.torso(hparams.torso, spec.observation_space, hparams.hidden_sizes)
    atoms = tf.linspace(hparams.v_min, hparams.v_max, hparams.num_atoms)
    dueling = networks.dueling(torso, actions, hparams.stream_sizes, num_atoms=hparams.num_atoms)
    noisy = networks.noisy(dueling, hparams.noise_deviation, plain=("torso",))
    multi_step = hparams.store(spec)  # of hparams.n_step steps
    prioritized = replay.prioritized_from(multi_step, hparams.priority_exponent)
    optimizer = optimizers.flatten(
        optimizers.chain(
            optimizers.clip_by_global_norm(hparams.max_grad_norm),
            optimizers.adam(hparams.learning_rate, epsilon=0.01 / hparams.batch_size),
        )
    )

    def init(key: random.Key) -> OffPolicyState:
        params = noisy.init(key, input_spec)
        learner = TargetLearner(params, params, optimizer.init(params), gradient_steps=tf.constant(0))
        return OffPolicyState(learner, prioritized.init(), updates=tf.constant(0))

    def logits(params: Nest, observation: Nest) -> tf.Tensor:
        return noisy.apply(params, to_inputs(observation))

    def q_values(logits: tf.Tensor) -> tf.Tensor:
        return tf.linalg.matvec(tf.nn.softmax(logits), atoms)  # the mean of the categorical distribution

    def act(policy: OffPolicyPolicy, actor_state: Nest, observation: Nest, key: random.Key, mode: Mode) -> ActorStep:
        noise_key, tie_key = tf.unstack(random.split(key))
        params = policy.params if mode == "eval" else noisy.draw(policy.params, noise_key)
        return ActorStep(policies.greedy(tie_key, q_values(logits(params, observation))), actor_state, {})

    def loss(params: Nest, target_params: Nest, sample: Sampled, key: random.Key) -> tuple[tf.Tensor, Learned]:
        batch, keys = sample.items, tf.unstack(random.split(key, 3), num=3)
        logits_tm1 = logits(noisy.draw(params, keys[0]), batch.observation)
        logits_t = logits(noisy.draw(target_params, keys[1]), batch.next_observation)
        double_q = q_values(logits(noisy.draw(params, keys[2]), batch.next_observation))
        error = losses.categorical_double_q_learning(
            atoms, logits_tm1, batch.action, batch.reward, batch.discount, atoms, logits_t, double_q
        )
        value = tf.reduce_mean(sample.weights * error)
        q_value = tf.reduce_mean(q_values(logits_tm1))
        return value, Learned({"loss": value, "q_value": q_value}, priorities=tf.stop_gradient(error))

    def beta(updates: tf.Tensor) -> tf.Tensor:
        progress = tf.minimum(tf.cast(updates, tf.float32) / hparams.num_iterations, 1.0)
        return hparams.importance_exponent + progress * (1 - hparams.importance_exponent)

    gradient_step = target_gradient_step(loss, optimizer, hparams.target_period)
    return Agent(
        hparams.schedule,
        init,
        lambda batch_size: (),
        act,
        update_from_replay(prioritized, gradient_step, hparams, beta),
    )
