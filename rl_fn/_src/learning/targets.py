"""Learners with target parameters, which follow those that learn."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import tensorflow as tf

from rl_fn import optimizers, random, replay, updates
from rl_fn._src.learning.from_replay import Learned
from rl_fn._src.learning.minimise import Trained, init_trained, minimise
from rl_fn.struct import Nest, Scalar

# (new, old, gradient steps so far) -> the next target parameters
TargetUpdate = Callable[[Nest, Nest, tf.Tensor], Nest]


class TargetLearner(NamedTuple):
    """The learner of one loss with a target network."""

    online: Trained
    target_params: Nest
    gradient_steps: tf.Tensor  # int32[]

    @property
    def actor_params(self) -> Nest:
        """What acts."""
        return self.online.params


def periodic(period: int, step_size: Scalar = 1.0) -> TargetUpdate:
    """Target parameters that move every `period` gradient steps; Mnih et al. (2015), algorithm 1, copies them."""
    copies = isinstance(step_size, float) and step_size == 1.0

    def update(new: Nest, old: Nest, count: tf.Tensor) -> Nest:
        moved = new if copies else updates.incremental_update(new, old, step_size)
        return updates.periodic_update(moved, old, count, period)

    return update


def incremental(step_size: Scalar) -> TargetUpdate:
    """Target parameters that move a part of the way each gradient step; Lillicrap et al. (2016), algorithm 1."""
    return lambda new, old, count: updates.incremental_update(new, old, step_size)


def init_target_learner(params: Nest, optimizer: optimizers.Optimizer) -> TargetLearner:
    """A learner at its start, whose target parameters are its parameters."""
    return TargetLearner(init_trained(params, optimizer), params, gradient_steps=tf.constant(0))


def target_gradient_step(
    loss: Callable[[Nest, Nest, replay.Sample, random.Key], tuple[tf.Tensor, Learned]],
    optimizer: optimizers.Optimizer,
    target_update: TargetUpdate,
) -> Callable[[TargetLearner, replay.Sample, random.Key], tuple[TargetLearner, Learned]]:
    """Makes the gradient step of a loss with a target network, for `update_from_replay`.

    Args:
      loss: `(params, target_params, sample, key) -> (scalar, learned)`.
      optimizer: what turns gradients into updates.
      target_update: how the target follows, from `periodic` or `incremental`.
    """

    def gradient_step(learner: TargetLearner, sample: replay.Sample, key: random.Key) -> tuple[TargetLearner, Learned]:
        online, learned = minimise(
            lambda params: loss(params, learner.target_params, sample, key), optimizer, learner.online
        )
        count = learner.gradient_steps + 1
        return TargetLearner(online, target_update(online.params, learner.target_params, count), count), learned

    return gradient_step
