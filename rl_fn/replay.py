"""Replay buffers: pure functions over a state that is plain data.

    buffer = uniform(capacity=10_000, spec=item_spec)
    state = buffer.init()
    state = buffer.add(state, items)  # items [N, ...]
    batch = buffer.sample(state, key, batch_size)

A buffer is a store, which says how experience is kept and what an item is made of, and a sampler, which
chooses among its items:

    buffer = prioritized_from(n_step(100_000, step_spec, num_streams=8, n=3, gamma=0.99), alpha=0.5)
    state = buffer.add(buffer.init(), steps)  # steps [T, B, ...]
    batch = buffer.sample(state, key, batch_size, beta)
    state = buffer.update(state, batch.slots, priorities)

Stores are `items`, `n_step_items`, `steps`, `n_step`, `sequences` and `hindsight`, and `frames` around one
of the last four. Samplers are `uniform_from`, `prioritized_from` and `rank_prioritized_from`; `uniform`,
`prioritized` and `rank_prioritized` are those of `items`.

Storage keeps the dtypes of the specification. Inside `loops.compile` the state is updated in place, as long
as a step samples after it has added: what is read before a write and not used for it, a compiler copies.
"""

from rl_fn._src.replay.base import Replay, ReplayState, Sample, Store
from rl_fn._src.replay.dataset import contents, export_steps, import_steps, restore, save
from rl_fn._src.replay.frames import FramesState, frames
from rl_fn._src.replay.hindsight import hindsight
from rl_fn._src.replay.minari import from_minari, to_minari
from rl_fn._src.replay.mixture import mixture
from rl_fn._src.replay.n_step import NStepState, NStepTransition, n_step, n_step_items
from rl_fn._src.replay.prioritized import (
    PrioritizedState,
    prioritized,
    prioritized_from,
    rank_prioritized,
    rank_prioritized_from,
)
from rl_fn._src.replay.queue import Queue, Taken, queue
from rl_fn._src.replay.sequence import Sequence, sequences, steps
from rl_fn._src.replay.uniform import items, uniform, uniform_from

__all__ = [
    "FramesState",
    "NStepState",
    "NStepTransition",
    "PrioritizedState",
    "Queue",
    "Replay",
    "ReplayState",
    "Sample",
    "Sequence",
    "Store",
    "Taken",
    "contents",
    "export_steps",
    "frames",
    "from_minari",
    "hindsight",
    "import_steps",
    "items",
    "mixture",
    "n_step",
    "n_step_items",
    "prioritized",
    "prioritized_from",
    "queue",
    "rank_prioritized",
    "rank_prioritized_from",
    "restore",
    "save",
    "sequences",
    "steps",
    "to_minari",
    "uniform",
    "uniform_from",
]
