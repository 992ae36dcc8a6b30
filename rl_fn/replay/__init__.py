"""Replay buffers: pure functions over a state that is plain data.

    buffer = uniform(capacity=10_000, spec=item_spec)
    state = buffer.init()
    state = buffer.add(state, items)  # items [N, ...]
    batch = buffer.sample(state, key, batch_size)

Storage keeps the dtypes of the specification. Inside `loops.compile` the state is updated in place.
"""

from rl_fn.replay.base import Replay, ReplayState, Store
from rl_fn.replay.uniform import items, uniform, uniform_from

__all__ = ["Replay", "ReplayState", "Store", "items", "uniform", "uniform_from"]
