"""PQN (Gallici et al., 2025, "Simplifying deep temporal difference learning"): Q-learning without replay or target.

Many environments side by side, layer normalisation, and targets over the rest of the rollout take their place.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import NamedTuple

import tensorflow as tf

from rl_fn import learning, losses, networks, policies, random, returns
from rl_fn.agents.base import ActorStep, Agent, Mode, check_divides, check_trajectory, num_actions, stateless
from rl_fn.agents.groups import AdamHParams, EpsilonGreedyHParams, TorsoHParams
from rl_fn.agents.hparams import field
from rl_fn.struct import EnvSpec, Metrics, Nest, Scalar, Transition

QValues = Callable[[Nest, Nest], tf.Tensor]  # (params, observation [N, ...]) -> [N, A]


@dataclasses.dataclass(frozen=True)
class PQNHParams(EpsilonGreedyHParams, TorsoHParams, AdamHParams):
    num_envs: int = 32
    rollout_length: int = 64
    learning_rate: Scalar = 5e-4
    anneal_learning_rate: bool = True
    num_epochs: int = field(4, "Passes over each rollout.", low=1)
    num_minibatches: int = field(16, "Minibatches per pass; divides the number of steps.", low=1)
    trace_lambda: Scalar = field(0.9, "Lambda of the returns.", low=0.0, high=1.0)

    def __post_init__(self) -> None:
        super().__post_init__()
        check_divides("num_minibatches", self.num_minibatches, "the steps of a rollout", self.schedule.steps)


class PQNState(NamedTuple):
    learner: learning.Trained
    num_updates: tf.Tensor  # int32[]

    @property
    def policy(self) -> learning.OffPolicyPolicy:
        return learning.OffPolicyPolicy(self.learner.params, self.num_updates)


class Steps(NamedTuple):
    observation: Nest
    action: tf.Tensor
    target: tf.Tensor


def targets(q_values: QValues, params: Nest, trajectory: Transition, hparams: PQNHParams) -> tf.Tensor:
    """The lambda-returns `[T, B]` over the values of the best actions; Gallici et al. (2025), equation 11.

    That is Peng's Q(lambda): no trace is cut where an action was not the best one.
    """
    v_t = tf.reduce_max(q_values(params, trajectory.next_observation), axis=-1)
    discount = trajectory.discount(hparams.gamma)
    return returns.lambda_returns(trajectory.reward, discount, v_t, hparams.trace_lambda, trajectory.is_last)


def loss(q_values: QValues, params: Nest, batch: Steps) -> tuple[tf.Tensor, Metrics]:
    """Half the mean squared distance of the values of the actions taken to their targets, and what it has to say."""
    q = q_values(params, batch.observation)
    value = tf.reduce_mean(losses.l2_loss(batch.target - losses.batched_index(q, batch.action)))
    return value, {"loss": value, "q_value": tf.reduce_mean(q)}


def make(spec: EnvSpec, hparams: PQNHParams, *, loss: Callable[..., tuple[tf.Tensor, Metrics]] = loss) -> Agent:
    """Makes a PQN agent, of the loss above or another.

    Raises:
      ValueError: if the action space is not Discrete.
    """
    actions = num_actions("pqn", spec)
    normalized = networks.layer_norm(tf.nn.relu)
    torso, input_spec, to_inputs = networks.torso(
        hparams.torso, spec.observation_space, hparams.hidden_sizes, normalized
    )
    network = networks.sequential(torso=torso, head=networks.dense(actions))
    optimizer = hparams.make_optimizer(hparams.num_epochs * hparams.num_minibatches)

    def q_values(params: Nest, observation: Nest) -> tf.Tensor:
        return network.apply(params, to_inputs(observation))

    def init(key: random.Key) -> PQNState:
        return PQNState(learning.init_trained(network.init(key, input_spec), optimizer), tf.constant(0))

    def act(
        policy: learning.OffPolicyPolicy, actor_state: Nest, observation: Nest, key: random.Key, mode: Mode
    ) -> ActorStep:
        q = q_values(policy.params, observation)
        epsilon = 0.0 if mode == "eval" else hparams.epsilon(policy.num_updates, q.shape[0])
        return ActorStep(policies.epsilon_greedy(key, q, epsilon), actor_state, {})

    def update(state: PQNState, trajectory: Transition, key: random.Key) -> tuple[PQNState, Metrics]:
        check_trajectory(hparams.schedule, trajectory)
        target = targets(q_values, state.learner.params, trajectory, hparams)
        steps = learning.in_sequences(Steps(trajectory.observation, trajectory.action, target), 1)
        learner, metrics = learning.over_minibatches(
            lambda trained, batch: learning.minimise(lambda params: loss(q_values, params, batch), optimizer, trained),
            state.learner,
            steps,
            key,
            hparams.num_epochs,
            hparams.num_minibatches,
        )
        metrics = tf.nest.map_structure(tf.reduce_mean, metrics)
        return PQNState(learner, state.num_updates + 1), {**metrics, **hparams.report_epsilon(state)}

    return Agent(hparams.schedule, init, stateless, act, update)
