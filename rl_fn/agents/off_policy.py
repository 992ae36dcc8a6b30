"""What agents that learn from replay share: the update, and the learner of a loss with a target network."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

import tensorflow as tf

from rl_fn import optimizers, random, replay, struct, updates
from rl_fn._src.scan import scan
from rl_fn.agents.base import HParams, field
from rl_fn.struct import EnvSpec, Metrics, Nest, Transition


@dataclasses.dataclass(frozen=True)
class OffPolicyHParams(HParams):
    rollout_length: int = field(1, "Steps of each environment between two updates.", low=1)
    replay_capacity: int = field(50_000, "Transitions kept for replay.", low=1)
    learning_starts: int = field(1_000, "Transitions collected before the first gradient step.", low=1)
    batch_size: int = field(64, "Transitions per gradient step.", low=1)
    gradient_steps: int = field(1, "Gradient steps per update.", low=1)
    n_step: int = field(1, "Steps of reward before a target bootstraps.", low=1)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.learning_starts > self.replay_capacity:
            raise ValueError(
                f"learning_starts is {self.learning_starts}, expected at most replay_capacity = {self.replay_capacity}"
            )

    def store(self, spec: EnvSpec) -> replay.Store:
        """Where the transitions are kept: items are `replay.NStepTransition`s."""
        observation = struct.space_spec(spec.observation_space)
        flag, number = tf.TensorSpec((), tf.bool), tf.TensorSpec((), tf.float32)
        action = struct.space_spec(spec.action_space)
        step = Transition(observation, action, number, flag, flag, observation, extras={})
        return replay.n_step_items(
            self.replay_capacity, step, num_streams=self.num_envs, n=self.n_step, gamma=self.gamma
        )


class OffPolicyPolicy(NamedTuple):
    params: Nest
    updates: tf.Tensor  # int32[]: updates so far, the clock of exploration


class OffPolicyState(NamedTuple):
    learner: Any  # the part of the state that a gradient step changes; its `actor_params` are what acts
    replay: Any
    updates: tf.Tensor  # int32[]: calls of update

    @property
    def policy(self) -> OffPolicyPolicy:
        return OffPolicyPolicy(self.learner.actor_params, self.updates)


Sampled = replay.Sample  # of `replay.NStepTransition`s


class Learned(NamedTuple):
    """What a gradient step has to say."""

    metrics: Metrics
    priorities: tf.Tensor  # float32[N]: of the items for prioritised replay, their absolute errors


class TargetLearner(NamedTuple):
    """The learner of one loss with a target network."""

    params: Nest
    target_params: Nest
    opt_state: Nest
    gradient_steps: tf.Tensor  # int32[]

    @property
    def actor_params(self) -> Nest:
        return self.params


def update_from_replay(
    buffer: replay.Replay,
    gradient_step: Callable[[Any, Sampled, random.Key], tuple[Any, Learned]],
    hparams: OffPolicyHParams,
    beta: Callable[[tf.Tensor], tf.Tensor] = lambda updates: tf.ones([]),
) -> Callable[[OffPolicyState, Transition, random.Key], tuple[OffPolicyState, Metrics]]:
    """Makes an agent's `update`: adds the trajectory to the replay and takes gradient steps on samples.

    Args:
      buffer: uniform or prioritised, of `hparams.store`.
      gradient_step: `(learner, sample, key) -> (learner, learned)`.
      hparams: how many of which size, and from when on.
      beta: from the number of updates so far to the exponent of the importance weights, where the buffer is
        prioritised.
    """

    def update(state: OffPolicyState, trajectory: Transition, key: random.Key) -> tuple[OffPolicyState, Metrics]:
        stored = buffer.add(state.replay, trajectory._replace(extras={}))
        ready = buffer.is_ready(stored, hparams.learning_starts - (hparams.n_step - 1) * hparams.num_envs)

        def one(carry: tuple[Any, Any], key: random.Key) -> tuple[tuple[Any, Any], Metrics]:
            learner, stored = carry
            sample_key, step_key = tf.unstack(random.split(key))
            drawn = buffer.sample(stored, sample_key, hparams.batch_size, beta(state.updates))
            learner, learned = gradient_step(learner, drawn, step_key)
            stored = buffer.update(stored, tf.where(ready, drawn.slots, -1), learned.priorities)
            return (learner, stored), learned.metrics

        (learner, stored), metrics = scan(one, (state.learner, stored), random.split(key, hparams.gradient_steps))
        learner = struct.where(ready, learner, state.learner)
        metrics = tf.nest.map_structure(lambda x: tf.where(ready, tf.reduce_mean(x), float("nan")), metrics)
        return OffPolicyState(learner, stored, state.updates + 1), metrics

    return update


def target_gradient_step(
    loss: Callable[[Nest, Nest, Sampled, random.Key], tuple[tf.Tensor, Learned]],
    optimizer: optimizers.Optimizer,
    target_period: int,
) -> Callable[[TargetLearner, Sampled, random.Key], tuple[TargetLearner, Learned]]:
    """Makes the gradient step of a loss `(params, target_params, sample, key) -> (scalar, learned)`.

    Args:
      loss: to minimise.
      optimizer: what turns gradients into updates.
      target_period: gradient steps between two copies of the parameters to the target.
    """

    def gradient_step(learner: TargetLearner, sample: Sampled, key: random.Key) -> tuple[TargetLearner, Learned]:
        (_, learned), grads = struct.value_and_gradient(
            lambda params: loss(params, learner.target_params, sample, key), learner.params
        )
        changes, opt_state = optimizer.update(grads, learner.opt_state, learner.params)
        params = optimizers.apply_updates(learner.params, changes)
        count = learner.gradient_steps + 1
        target_params = updates.periodic_update(params, learner.target_params, count, target_period)
        return TargetLearner(params, target_params, opt_state, count), learned

    return gradient_step
