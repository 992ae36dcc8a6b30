"""R2D2 (Kapturowski et al., 2019, "Recurrent experience replay in distributed reinforcement learning").

Double Q-learning with a memory, from replayed sequences: each begins with the recurrent state that was stored when it
was acted, and its first steps only bring that up to date (burn-in). The last action and reward are no inputs.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import tensorflow as tf

from rl_fn import learning, losses, networks, policies, random, replay, returns, struct, transforms
from rl_fn.agents.base import ActorStep, Agent, Mode, num_actions
from rl_fn.agents.groups import (
    EpsilonGreedyHParams,
    Inputs,
    PrioritizedReplayHParams,
    SequenceReplayHParams,
    TorsoHParams,
)
from rl_fn.agents.hparams import field, takes_network
from rl_fn.agents.value_based import TargetHParams
from rl_fn.learning import Learned, OffPolicyPolicy
from rl_fn.struct import EnvSpec, Nest, Scalar

TRANSFORMS = {"identity": transforms.IDENTITY_PAIR, "signed_hyperbolic": transforms.SIGNED_HYPERBOLIC_PAIR}


@dataclasses.dataclass(frozen=True)
class R2D2HParams(EpsilonGreedyHParams, SequenceReplayHParams, PrioritizedReplayHParams, TorsoHParams, TargetHParams):
    num_envs: int = 16
    rollout_length: int = 16
    batch_size: int = field(32, "Sequences per gradient step.", low=1)
    gradient_steps: int = 16
    anneal_learning_rate: bool = True
    adam_epsilon: Scalar = 1e-3
    target_period: int = 50
    n_step: int = 5
    hidden_sizes: tuple[int, ...] = (64,)
    stream_sizes: tuple[int, ...] = field((64,), "Widths of the hidden layers of value and advantage.")
    memory: str = field("gru", "The recurrent network.", choices=networks.MEMORIES[1:])
    memory_units: int = field(64, "Its size.", low=1)
    sequence_length: int = field(16, "Steps of a sequence that are learned from.", low=1)
    burn_in: int = field(8, "Steps before them, without a gradient.", low=0)
    sequence_period: int = field(8, "Steps between the beginnings of two sequences.", low=1)
    value_transform: str = field("signed_hyperbolic", "The scale of the values.", choices=tuple(TRANSFORMS))
    max_error_weight: Scalar = field(0.9, "Of the largest error in a priority; the rest is the mean.", low=0, high=1)
    priority_exponent: Scalar = 0.9
    importance_exponent: Scalar = 0.6
    epsilon_initial: Scalar = 0.4
    epsilon_final: Scalar = 0.4**8
    epsilon_schedule: str = "per_actor"

    def make_memory(self) -> networks.RecurrentNetwork:
        """Makes the recurrent network."""
        memory = networks.memory(self.memory, self.memory_units)
        assert memory is not None  # "none" is no choice here
        return memory

    def make_store(self, spec: EnvSpec) -> replay.Store:
        """Makes what keeps the steps, at least `replay_capacity` of them: items are `replay.Sequence`s."""
        state = self.make_memory().initial_state(1)
        begin = self.num_envs * self.sequence_period
        return replay.sequences(
            -(-self.replay_capacity // begin) * begin,
            self.step_spec(spec),
            num_streams=self.num_envs,
            length=self.burn_in + self.sequence_length,
            period=self.sequence_period,
            start_spec=tf.nest.map_structure(lambda leaf: tf.TensorSpec(leaf.shape[1:], leaf.dtype), state),
        )


def loss(
    network: networks.RecurrentValues,
    to_inputs: Inputs,
    params: Nest,
    target_params: Nest,
    sample: replay.Sample,
    hparams: R2D2HParams,
) -> tuple[tf.Tensor, Learned]:
    """The loss of a batch of sequences: Kapturowski et al. (2019), section 2.3.

    Args:
      network: values on the transformed scale.
      to_inputs: from observations to what the network takes.
      params: what is learned.
      target_params: what values the successors.
      sample: N items `replay.Sequence`, steps `[burn_in + sequence_length, N, ...]` and state before; weights `[N]`.
      hparams: the agent's.

    Returns:
      The weighted mean, a scalar, and what it has to say.
    """
    steps, start = sample.items
    inputs = to_inputs(steps.observation)
    online_state = target_state = start
    if hparams.burn_in:
        burned = (start, inputs[: hparams.burn_in], steps.is_last[: hparams.burn_in])
        online_state = tf.nest.map_structure(tf.stop_gradient, network.unroll(params, *burned)[1])
        target_state = network.unroll(target_params, *burned)[1]
    steps, inputs = struct.at(steps, slice(hparams.burn_in, None)), inputs[hparams.burn_in :]
    q_tm1, _ = network.unroll(params, online_state, inputs, steps.is_last)
    following = (inputs, steps.is_last, to_inputs(steps.next_observation))
    best = tf.argmax(network.successors(params, online_state, *following), axis=-1, output_type=tf.int32)
    error = returns.transformed_n_step_q_learning(
        q_tm1,
        steps.action,
        network.successors(target_params, target_state, *following),
        best,
        steps.reward,
        steps.discount(hparams.gamma),
        hparams.n_step,
        TRANSFORMS[hparams.value_transform],
        truncated_t=steps.is_last,
    )
    value = tf.reduce_mean(sample.weights * tf.reduce_mean(losses.l2_loss(error), axis=0))
    sizes = priorities(error, hparams.max_error_weight)
    return value, Learned({"loss": value, "q_value": tf.reduce_mean(q_tm1)}, sizes)


def priorities(error: tf.Tensor, weight: Scalar) -> tf.Tensor:
    """The priorities `[N]` of sequences with errors `[T, N]`: the largest, with its weight, and the mean."""
    size = tf.stop_gradient(tf.abs(error))
    return weight * tf.reduce_max(size, axis=0) + (1 - weight) * tf.reduce_mean(size, axis=0)


@takes_network
def make(spec: EnvSpec, hparams: R2D2HParams, *, loss: Callable[..., tuple[tf.Tensor, Learned]] = loss) -> Agent:
    """Makes an R2D2 agent, of the loss above or another; raises ValueError if the action space is not Discrete."""
    actions = num_actions("r2d2", spec)
    torso, input_spec, to_inputs = hparams.make_torso(spec)
    nothing = networks.Network(lambda key, spec: {}, lambda params, inputs: inputs)
    heads = networks.dueling(nothing, actions, hparams.stream_sizes)
    network = networks.recurrent_values(torso, hparams.make_memory(), heads)
    optimizer = hparams.make_optimizer(hparams.gradient_steps)

    def init(key: random.Key) -> learning.TargetLearner:
        return learning.init_target_learner(network.init(key, input_spec), optimizer)

    def act(
        policy: OffPolicyPolicy, recurrent_state: Nest, observation: Nest, key: random.Key, mode: Mode
    ) -> ActorStep:
        q, after = network.step(policy.params, recurrent_state, to_inputs(observation))
        if mode == "eval":
            return ActorStep(policies.greedy(key, q), after, {})
        action = policies.epsilon_greedy(key, q, hparams.epsilon(policy.num_updates, q.shape[0]))
        return ActorStep(action, after, {"recurrent_state": recurrent_state})

    mine = lambda params, target_params, sample, key: loss(network, to_inputs, params, target_params, sample, hparams)
    gradient_step = learning.target_gradient_step(mine, optimizer, hparams.target_update)
    return hparams.make_agent_with_state(
        hparams.make_replay(spec),
        init,
        network.initial_state,
        act,
        gradient_step,
        min_items=hparams.min_sequences(hparams.burn_in + hparams.sequence_length, hparams.sequence_period),
        to_items=lambda steps: replay.Sequence(steps._replace(extras={}), steps.extras["recurrent_state"]),
        beta=hparams.beta,
        report=hparams.report_epsilon,
        shared=False,  # items are sequences, whose second axis is that of the batch
    )
