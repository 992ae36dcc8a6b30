"""Learning from replay: what an agent that keeps its experience does with a trajectory."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import tensorflow as tf

from rl_fn import random, replay, struct
from rl_fn._src import shards
from rl_fn._src.scan import scan
from rl_fn.struct import Metrics, Nest, Transition


class OffPolicyPolicy(NamedTuple):
    """All that an agent with a replay needs to act."""

    params: Nest
    num_updates: tf.Tensor  # int32[]: calls of `update` so far, the clock of exploration


class OffPolicyState(NamedTuple):
    """The state of an agent that learns from replay."""

    learner: Any  # the part of the state that a gradient step changes; its `actor_params` are what acts
    replay: Any
    num_updates: tf.Tensor  # int32[]: calls of `update`

    @property
    def policy(self) -> OffPolicyPolicy:
        """All that acting needs."""
        return OffPolicyPolicy(self.learner.actor_params, self.num_updates)


class Learned(NamedTuple):
    """What a gradient step has to say."""

    metrics: Metrics
    priorities: tf.Tensor  # float32[N]: absolute errors, the priorities of the items that were sampled


def update_from_replay(
    buffer: replay.Replay,
    gradient_step: Callable[[Any, replay.Sample, random.Key], tuple[Any, Learned]],
    *,
    batch_size: int,
    gradient_steps: int = 1,
    min_items: int = 1,
    beta: Callable[[tf.Tensor], Any] = lambda num_updates: 1.0,
    to_items: Callable[[Transition], Nest] | None = lambda trajectory: trajectory._replace(extras={}),
    shared: bool = True,
) -> Callable[[OffPolicyState, Transition, random.Key], tuple[OffPolicyState, Metrics]]:
    """Makes an agent's `update`: adds the trajectory to the replay and takes gradient steps on samples.

    Args:
      buffer: any replay buffer.
      gradient_step: `(learner, sample, key) -> (learner, learned)`.
      batch_size: N, items per gradient step.
      gradient_steps: per update.
      min_items: items that must be there before the first gradient step; at least one always.
      beta: from the number of updates so far to the exponent of the importance weights.
      to_items: from a trajectory to what the buffer adds; without the extras of acting unless given. None where nothing
        is added, because the buffer holds a data set.
      shared: whether several devices share each batch, each taking a part of the N items. For that items are
        `[N, ...]`, and the losses and metrics of a step weighted means over them; where they are not, each device takes
        the whole step.

    Returns:
      `(state, trajectory, key) -> (state, metrics)`; before the first gradient step there are no metrics to report.
    """

    def shared_step(learner: Any, sample: replay.Sample, key: random.Key) -> tuple[Any, Learned]:
        if not shared or shards.count() == 1:
            return gradient_step(learner, sample, key)
        shards.check_shared("a batch", batch_size, shards.count())
        with shards.rows_of(batch_size // shards.count()):
            learner, learned = gradient_step(learner, shards.mine(sample), key)
        return learner, Learned(learned.metrics, shards.gathered(learned.priorities))

    def update(state: OffPolicyState, trajectory: Transition, key: random.Key) -> tuple[OffPolicyState, Metrics]:
        stored = buffer.add(state.replay, to_items(trajectory)) if to_items else state.replay
        ready = buffer.is_ready(stored, min_items)
        if tf.get_static_value(ready) is not None and not ready:  # in eager mode, where an empty buffer is refused
            return OffPolicyState(state.learner, stored, state.num_updates + 1), {}

        def one(carry: tuple[Any, Any], key: random.Key) -> tuple[tuple[Any, Any], Metrics]:
            learner, stored = carry
            sample_key, step_key = tf.unstack(random.split(key))
            sample = buffer.sample(stored, sample_key, batch_size, beta(state.num_updates))
            learner, learned = shared_step(learner, sample, step_key)
            slots = tf.where(ready, sample.slots, -1)  # -1 is none
            return (learner, buffer.update(stored, slots, learned.priorities)), learned.metrics

        (learner, stored), metrics = scan(one, (state.learner, stored), random.split(key, gradient_steps))
        metrics = shards.mean(metrics) if shared else metrics
        learner = struct.where(ready, learner, state.learner)
        metrics = {name: told(x, ready) for name, x in metrics.items()}
        return OffPolicyState(learner, stored, state.num_updates + 1), metrics

    def told(each: tf.Tensor | struct.Mean, ready: tf.Tensor) -> struct.Mean:
        if isinstance(each, struct.Mean):  # of steps that are not always taken
            return struct.Mean(*(tf.where(ready, tf.reduce_sum(part), 0.0) for part in each))
        return struct.Mean(tf.where(ready, tf.reduce_mean(each), 0.0), tf.cast(ready, tf.float32))

    return update
