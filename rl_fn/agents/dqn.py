"""Deep Q-networks (Mnih et al., 2015), with double Q-learning (van Hasselt et al., 2016) as an option."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import tensorflow as tf

from rl_fn import learning, losses, networks, policies, random, replay
from rl_fn.agents.base import Agent, Mode, num_actions
from rl_fn.agents.groups import AdamHParams, EpsilonGreedyHParams, ReplayHParams, TorsoHParams
from rl_fn.agents.hparams import field
from rl_fn.learning import Learned, OffPolicyPolicy, OffPolicyState
from rl_fn.struct import EnvSpec, Nest

QValues = Callable[[Nest, Nest], tf.Tensor]  # (params, observation [N, ...]) -> [N, A]


@dataclasses.dataclass(frozen=True)
class DQNHParams(EpsilonGreedyHParams, ReplayHParams, TorsoHParams, AdamHParams):
    rollout_length: int = 4
    gradient_steps: int = 32
    anneal_learning_rate: bool = True
    target_period: int = field(500, "Gradient steps between two copies of the parameters to the target.", low=1)
    double_q: bool = field(True, "Whether the online network chooses the action that the target network values.")
    loss: str = field("l2", "Loss of the TD error; huber turns linear beyond 1.", choices=("huber", "l2"))


def loss(
    q_values: QValues, params: Nest, target_params: Nest, sample: replay.Sample, key: random.Key, hparams: DQNHParams
) -> tuple[tf.Tensor, Learned]:
    """The loss of a batch: van Hasselt et al. (2016), equation 4, or with one network Mnih et al. (2015), equation 2.

    Args:
      q_values: `(params, observation) -> [N, A]`.
      params: what is learned.
      target_params: what values the successors.
      sample: N items `replay.NStepTransition` and their weights `[N]`.
      key: of whatever is random.
      hparams: the agent's.

    Returns:
      The weighted mean, a scalar, and what it has to say.
    """
    del key  # nothing is random
    batch = sample.items
    q_tm1, q_t = q_values(params, batch.observation), q_values(target_params, batch.next_observation)
    selector = q_values(params, batch.next_observation) if hparams.double_q else q_t
    error = losses.double_q_learning(q_tm1, batch.action, batch.reward, batch.discount, q_t, selector)
    each = losses.huber_loss(error) if hparams.loss == "huber" else losses.l2_loss(error)
    value = tf.reduce_mean(sample.weights * each)
    return value, Learned({"loss": value, "q_value": tf.reduce_mean(q_tm1)}, tf.abs(error))


def make(spec: EnvSpec, hparams: DQNHParams, *, loss: Callable[..., tuple[tf.Tensor, Learned]] = loss) -> Agent:
    """Makes a DQN agent.

    Args:
      spec: of the environment.
      hparams: the hyper-parameters.
      loss: called as the one above.

    Raises:
      ValueError: if the action space is not Discrete.
    """
    actions = num_actions("dqn", spec)
    torso, input_spec, to_inputs = hparams.make_torso(spec)
    network = networks.sequential(torso=torso, head=networks.dense(actions))
    optimizer = hparams.make_optimizer(hparams.gradient_steps)

    def init(key: random.Key) -> learning.TargetLearner:
        return learning.init_target_learner(network.init(key, input_spec), optimizer)

    def q_values(params: Nest, observation: Nest) -> tf.Tensor:
        return network.apply(params, to_inputs(observation))

    def choose(policy: OffPolicyPolicy, observation: Nest, key: random.Key, mode: Mode) -> tf.Tensor:
        q = q_values(policy.params, observation)
        return policies.greedy(key, q) if mode == "eval" else policies.epsilon_greedy(key, q, epsilon(policy))

    def epsilon(state: OffPolicyPolicy | OffPolicyState) -> tf.Tensor:
        return hparams.epsilon(state.num_updates)

    gradient_step = learning.target_gradient_step(
        lambda *args: loss(q_values, *args, hparams), optimizer, learning.periodic(hparams.target_period)
    )
    report = lambda state: {"epsilon": epsilon(state)}
    return hparams.make_agent(hparams.make_replay(spec), init, choose, gradient_step, report=report)
