"""Replay buffers: pure functions over a state that is plain data.

    buffer = uniform(capacity=10_000, spec=item_spec)
    state = buffer.init()
    state = buffer.add(state, items)  # items [N, ...]
    batch = buffer.sample(state, key, batch_size)

Storage keeps the dtypes of the specification. Inside `loops.compile` the state is updated in place.
"""

from rl_fn.replay.base import Replay, ReplayState, Store
from rl_fn.replay.hindsight import hindsight
from rl_fn.replay.n_step import NStepTransition, n_step, n_step_items
from rl_fn.replay.prioritized import (
    PrioritizedReplay,
    PrioritizedSample,
    PrioritizedState,
    prioritized,
    prioritized_from,
    rank_prioritized,
    rank_prioritized_from,
)
from rl_fn.replay.sequence import Sequence, sequences
from rl_fn.replay.uniform import items, uniform, uniform_from

__all__ = [
    "NStepTransition",
    "PrioritizedReplay",
    "PrioritizedSample",
    "PrioritizedState",
    "Replay",
    "ReplayState",
    "Sequence",
    "Store",
    "hindsight",
    "items",
    "n_step",
    "n_step_items",
    "prioritized",
    "prioritized_from",
    "rank_prioritized",
    "rank_prioritized_from",
    "sequences",
    "uniform",
    "uniform_from",
]
