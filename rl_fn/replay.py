"""Replay buffers: pure functions over a state that is plain data.

    buffer = prioritized_from(n_step(100_000, step_spec, num_streams=8, n=3, gamma=0.99), alpha=0.5)
    state = buffer.init()
    state = buffer.add(state, steps)  # [T, B, ...]
    if buffer.is_ready(state, 1_000):
        batch = buffer.sample(state, key, batch_size, beta)  # items, slots, weights
        state = buffer.update(state, batch.slots, priorities)

Every buffer has the same functions, so a learner need not know which it has: without priorities all weights are 1
and `update` changes nothing. A buffer is a store, which says how experience is kept and what an item is made of,
and a sampler, which chooses among its items.

- Whole buffers of single items, added `[N, ...]`: `uniform`, `prioritized`, `rank_prioritized`.
- Samplers around any store: `uniform_from`, `prioritized_from`, `rank_prioritized_from`.
- Stores: `items` of anything; and of steps `[T, B, ...]` of B streams, `steps`, `n_step` and `n_step_items`,
  `sequences`, `hindsight`, and `frames` around any of these but `n_step_items`.
- Several buffers in one: `mixture`, such as of demonstrations and own experience.
- Each item once, in order: `queue`.
- On disk: `save` and `restore` states; `contents`, `export_steps` and `import_steps` experience; `to_minari` and
  `from_minari` exchange it.

Steps that are added follow those before. Where they do not (a run in a host environment is resumed, another data set
is added), `state = buffer.cut(state)` ends what is there as truncated, so that no item goes across.

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
