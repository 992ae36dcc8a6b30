"""IMPALA: an actor-critic whose actors may be behind the learner (Espeholt et al., 2018).

V-trace corrects for the difference between the policy that acted and the one that learns. With
`actor_lag` the loops keep the acting policy that many updates behind, as a real asynchronous system would.
"""

from __future__ import annotations

import dataclasses
from typing import NamedTuple

import tensorflow as tf

from rl_fn import losses, networks, optimizers, policies, random, returns, struct
from rl_fn.agents.base import ActorStep, Agent, HParams, Mode, field
from rl_fn.struct import EnvSpec, Metrics, Nest, Scalar, Transition


@dataclasses.dataclass(frozen=True)
class IMPALAHParams(HParams):
    num_envs: int = field(16, "Environments stepped side by side.", low=1)
    rollout_length: int = field(20, "Steps of each environment between two updates.", low=1)
    actor_lag: int = field(1, "Updates that the acting policy is behind the learner.", low=0, high=1_000)
    torso: str = field("mlp", "What reads the observation.", choices=networks.TORSOS)
    hidden_sizes: tuple[int, ...] = field((64, 64), "Widths of the hidden layers of policy and value.")
    activation: str = field("tanh", "After each hidden layer.", choices=tuple(networks.ACTIVATIONS))
    shared_torso: bool = field(False, "Whether policy and value share their hidden layers.")
    memory: str = field("none", "Recurrent network between torso and heads.", choices=networks.MEMORIES)
    memory_units: int = field(64, "Size of the memory.", low=1)
    learning_rate: Scalar = field(1e-3, "Adam's step size at the start; it falls linearly to zero.", above=0.0)
    max_grad_norm: Scalar = field(1.0, "Global norm to which gradients are clipped.", above=0.0)
    trace_lambda: Scalar = field(1.0, "Lambda of V-trace.", low=0.0, high=1.0)
    clip_rho: Scalar = field(1.0, "The largest ratio in the targets.", above=0.0)
    clip_pg_rho: Scalar = field(1.0, "The largest ratio in the policy gradient.", above=0.0)
    entropy_cost: Scalar = field(0.01, "Weight of the entropy bonus.", low=0.0)
    value_cost: Scalar = field(0.5, "Weight of the value loss.", low=0.0)


class IMPALAState(NamedTuple):
    params: Nest
    opt_state: Nest

    @property
    def policy(self) -> Nest:
        return self.params


def make(spec: EnvSpec, hparams: IMPALAHParams) -> Agent:
    """Makes an IMPALA agent.

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
    optimizer = optimizers.flatten(
        optimizers.chain(
            optimizers.clip_by_global_norm(hparams.max_grad_norm),
            optimizers.adam(
                optimizers.linear_schedule(hparams.learning_rate, 0.0, hparams.num_iterations), epsilon=1e-5
            ),
        )
    )

    def init(key: random.Key) -> IMPALAState:
        params = network.init(key, input_spec)
        return IMPALAState(params, optimizer.init(params))

    def act(params: Nest, memory: Nest, observation: Nest, key: random.Key, mode: Mode) -> ActorStep:
        (outputs, _), after = network.step(params, memory, to_inputs(observation))
        distribution = head.distribution(outputs)
        if mode == "eval":
            return ActorStep(head.to_action(policies.mode(distribution)), after, {})
        draw = policies.sample(key, distribution)
        extras = {"draw": draw, "log_prob": distribution.log_prob(draw), "memory": memory}
        return ActorStep(head.to_action(draw), after, extras)

    def loss(params: Nest, trajectory: Transition) -> tuple[tf.Tensor, Metrics]:
        extras, is_last = trajectory.extras, trajectory.is_last
        inputs = to_inputs(trajectory.observation)
        # The memory before the first step has been reset already where an episode began.
        is_first = tf.concat([tf.zeros_like(is_last[:1]), is_last[:-1]], axis=0)
        start = tf.nest.map_structure(lambda x: x[0], extras["memory"])
        outputs, v_tm1 = network.unroll(params, start, inputs, is_first)
        _, after = network.step(params, extras["memory"], inputs)
        (_, v_t), _ = network.step(params, after, to_inputs(trajectory.next_observation))
        distribution = head.distribution(outputs)
        log_prob = distribution.log_prob(extras["draw"])
        vtrace = returns.vtrace(
            v_tm1,
            v_t,
            trajectory.reward,
            trajectory.discount(hparams.gamma),
            returns.importance_sampling_ratios(log_prob, extras["log_prob"]),
            hparams.trace_lambda,
            hparams.clip_rho,
            hparams.clip_pg_rho,
            truncated_t=is_last,
        )
        policy_loss = -tf.reduce_mean(log_prob * vtrace.advantages)
        value_loss = tf.reduce_mean(losses.l2_loss(vtrace.errors))
        entropy = tf.reduce_mean(distribution.entropy())
        total = policy_loss + hparams.value_cost * value_loss - hparams.entropy_cost * entropy
        approximate_kl = tf.reduce_mean(extras["log_prob"] - log_prob)
        return total, {
            "policy_loss": policy_loss,
            "value_loss": value_loss,
            "value": tf.reduce_mean(v_tm1),
            "entropy": entropy,
            "approximate_kl": approximate_kl,
        }

    def update(state: IMPALAState, trajectory: Transition, key: random.Key) -> tuple[IMPALAState, Metrics]:
        del key  # nothing is random
        (_, metrics), grads = struct.value_and_gradient(lambda params: loss(params, trajectory), state.params)
        updates, opt_state = optimizer.update(grads, state.opt_state, state.params)
        return IMPALAState(optimizers.apply_updates(state.params, updates), opt_state), metrics

    return Agent(hparams.schedule, init, network.initial_state, act, update)
