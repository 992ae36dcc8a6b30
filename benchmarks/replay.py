"""Speed, memory and exactness of the replay buffers, against flashbax in one process.

    python benchmarks/replay.py [--write] [--only throughput host memory in_place sum_tree]

Flashbax, which `make bench-parts` installs, is needed for `throughput` and `host` only. Every comparison is
interleaved: one run of each after the other, many times over. The ratio of the fastest runs is the figure; the
median of the ratios of neighbours is shown beside it.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import tensorflow as tf
from machine import machine

from rl_fn import loops, random, replay
from rl_fn._src.replay import sum_tree
from rl_fn._src.scan import scan

RESULTS = Path(__file__).parent / "results" / "replay.json"
CAPACITY, BATCH, LOOP = 500_000, 256, 1_000
OBSERVATION = ([32], np.float32)
ITEM = {
    "observation": OBSERVATION,
    "action": ([], np.int32),
    "reward": ([], np.float32),
    "terminated": ([], np.bool_),
    "truncated": ([], np.bool_),
    "next_observation": OBSERVATION,
}
# What flashbax's flat buffer keeps: it returns pairs of successive items.
STEP = {name: ITEM[name] for name in ("observation", "action", "reward", "terminated")}


def spec_of(item: dict[str, Any]) -> dict[str, tf.TensorSpec]:
    """The specification of an item."""
    return {name: tf.TensorSpec(shape, tf.as_dtype(dtype)) for name, (shape, dtype) in item.items()}


def data_of(item: dict[str, Any], num: int) -> dict[str, np.ndarray]:
    """That many items of random numbers."""
    rng = np.random.default_rng(0)
    return {name: (10 * rng.random([num, *shape])).astype(dtype) for name, (shape, dtype) in item.items()}


def interleaved(runs: dict[str, Callable[[], Any]], repetitions: int) -> dict[str, np.ndarray]:
    """Seconds of every run, after one that does not count."""
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for repetition in range(repetitions + 1):
        for name, run in runs.items():
            begin = time.perf_counter()
            run()
            if repetition:
                seconds[name].append(time.perf_counter() - begin)
    return {name: np.array(values) for name, values in seconds.items()}


def compared(title: str, runs: dict[str, Callable[[], Any]], per_run: int, repetitions: int) -> list[dict[str, Any]]:
    """One line for each peer; the first run is ours."""
    seconds = interleaved(runs, repetitions)
    ours, *peers = seconds
    return [
        {
            "what": title,
            "peer": peer,
            "ours_us": 1e6 * seconds[ours].min() / per_run,
            "peer_us": 1e6 * seconds[peer].min() / per_run,
            "ratio": seconds[ours].min() / seconds[peer].min(),
            "median_ratio": float(np.median(seconds[ours] / seconds[peer])),
        }
        for peer in peers
    ]


class OurLoop:
    """A compiled loop of operations on a full buffer. What is sampled becomes part of the state."""

    def __init__(self, operations: str, prioritized: bool):
        make = replay.prioritized if prioritized else replay.uniform
        buffer = make(CAPACITY, spec_of(ITEM))
        added = {name: tf.constant(array) for name, array in data_of(ITEM, BATCH).items()}
        filled = loops.compile(lambda state: (buffer.add(state, added), {}), buffer.init())
        filled.run(CAPACITY // BATCH + 1)
        state = filled.read()
        key = random.key(0)

        def step(carry: Any) -> Any:
            state, count, batch = carry
            if "add" in operations:
                observation = added["observation"] + tf.cast(count, tf.float32)
                state = buffer.add(state, {**added, "observation": observation})
            if "sample" in operations:
                batch = buffer.sample(state, random.fold_in(key, count), BATCH)
            if "update" in operations:
                state = buffer.update(state, batch.slots, tf.abs(batch.items["reward"]) + 0.1)
            return (state, count + 1, batch), {}

        self._loop = loops.compile(step, (state, tf.constant(0), buffer.sample(state, key, BATCH)))

    def __call__(self) -> None:
        """Runs the loop once."""
        self._loop.run(LOOP)


class FlashbaxLoop:
    """The same for a flashbax buffer, with donated arguments."""

    def __init__(self, operations: str, buffer: Any, item: dict[str, Any]):
        import jax
        import jax.numpy as jnp

        added = {name: jnp.asarray(array) for name, array in data_of(item, BATCH).items()}
        fill = jax.jit(
            lambda state: jax.lax.fori_loop(0, CAPACITY // BATCH + 1, lambda _, s: buffer.add(s, added), state)
        )
        state = fill(buffer.init({name: array[0] for name, array in added.items()}))
        key = jax.random.key(0)

        def step(_: Any, carry: Any) -> Any:
            state, count, batch = carry
            if "add" in operations:
                state = buffer.add(state, {**added, "observation": added["observation"] + count})
            if "sample" in operations:
                batch = buffer.sample(state, jax.random.fold_in(key, count))
            if "update" in operations:
                items = getattr(batch.experience, "first", batch.experience)
                state = buffer.set_priorities(state, batch.indices, jnp.abs(items["reward"]) + 0.1)
            return state, count + 1, batch

        self._loop = jax.jit(lambda carry: jax.lax.fori_loop(0, LOOP, step, carry), donate_argnums=0)
        self._carry = (state, jnp.array(0), buffer.sample(state, key))

    def __call__(self) -> None:
        """Runs the loop once."""
        import jax

        self._carry = jax.block_until_ready(self._loop(self._carry))


def throughput(repetitions: int) -> list[dict[str, Any]]:
    """Compiled loops against flashbax: its buffer of items, given the same, and its flat buffer of pairs."""
    import flashbax

    lines = []
    for kind in ("uniform", "prioritized"):
        prefix = "make_prioritised" if kind == "prioritized" else "make"
        for operations in ("add", "sample", "add+sample", "add+sample+update"):
            if operations.endswith("update") != (kind == "prioritized") and "+" in operations:
                continue
            items = getattr(flashbax, f"{prefix}_item_buffer")(CAPACITY, BATCH, BATCH, False, True)
            flat = getattr(flashbax, f"{prefix}_flat_buffer")(CAPACITY, BATCH, BATCH, False, BATCH)
            runs = {
                "ours": OurLoop(operations, kind == "prioritized"),
                "flashbax items": FlashbaxLoop(operations, items, ITEM),
                "flashbax flat": FlashbaxLoop(operations, flat, STEP),
            }
            lines += compared(f"{kind}: {operations}", runs, LOOP, repetitions)
    return lines


def host(repetitions: int) -> list[dict[str, Any]]:
    """One call per step from Python: an addition from NumPy arrays, and a sample."""
    lines = []
    for num in (1, 16, BATCH):
        lines += host_of(num, repetitions)
    return lines


def host_of(num: int, repetitions: int) -> list[dict[str, Any]]:
    """The lines of additions of `num` items."""
    import flashbax
    import jax
    import jax.numpy as jnp

    added = data_of(ITEM, num)
    buffer = replay.uniform(CAPACITY, spec_of(ITEM))

    def step(state: Any, items: Any, seed: tf.Tensor) -> Any:
        state = buffer.add(state, items)
        return state, buffer.sample(state, random.key(seed), BATCH).items

    ours = loops.compile(step, buffer.init())
    peer = flashbax.make_item_buffer(CAPACITY, 1, BATCH, False, True)

    def peer_step(state: Any, items: Any, seed: Any) -> Any:
        state = peer.add(state, items)
        return state, peer.sample(state, jax.random.key(seed))

    jitted = jax.jit(peer_step, donate_argnums=0)
    states = [peer.init({name: jnp.asarray(array[0]) for name, array in added.items()})]

    def run_ours() -> None:
        for seed in range(100):
            tf.nest.map_structure(np.asarray, ours(added, np.int32(seed)))

    def run_flashbax() -> None:
        for seed in range(100):
            states[0], batch = jitted(states[0], added, seed)
            jax.tree.map(np.asarray, batch)

    runs = {"ours": run_ours, "flashbax items": run_flashbax}
    return compared(f"host: add {num} + sample {BATCH}", runs, 100, repetitions)


def in_place(repetitions: int) -> list[dict[str, Any]]:
    """An addition of 16 inside a compiled call, to a buffer of 300 MB and to one of 3 MB."""
    items = data_of({"x": ([75], np.float32)}, 16)

    def adder(capacity: int) -> Callable[[], None]:
        buffer = replay.uniform(capacity, {"x": tf.TensorSpec([75], tf.float32)})
        compiled = loops.compile(lambda state, x: (buffer.add(state, {"x": x}), state.size), buffer.init())
        x = tf.constant(items["x"])

        def run() -> None:
            for _ in range(100):
                compiled(x)

        return run

    return compared("add 16: 300 MB / 3 MB", {"300 MB": adder(1_000_000), "3 MB": adder(10_000)}, 100, repetitions)


_PEAK = """
import os
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
import tensorflow as tf
from rl_fn import loops, random, replay

def run(capacity):
    buffer = replay.uniform(capacity, {"x": tf.TensorSpec([256], tf.float32)})
    def step(carry):
        state, key = carry
        keys = random.split(key)
        state = buffer.add(state, {"x": random.uniform(keys[0], [16, 256])})
        return (state, keys[1]), {"mean": tf.reduce_mean(buffer.sample(state, keys[0], 64).items["x"])}
    program = loops.compile(step, (buffer.init(), random.key(0)))
    program.run(capacity // 16 + 10)

def kilobytes(field):
    return next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith(field))

run(1024)
baseline = kilobytes("VmRSS")
run(2**20)
print((kilobytes("VmHWM") - baseline) / 2**20)
"""


def memory(repetitions: int) -> list[dict[str, Any]]:
    """The peak while a buffer of 2**30 bytes is filled and sampled, above what was in use before, in GiB; Linux."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([".", *sys.path])}
    printed = subprocess.run(
        [sys.executable, "-c", _PEAK], check=True, capture_output=True, text=True, env=environment
    ).stdout
    return [{"what": "peak memory of a 1 GiB buffer", "GiB": float(printed.split()[-1])}]


def sum_tree_exactness(repetitions: int) -> list[dict[str, Any]]:
    """Ten million updates at random, then ten million draws."""
    leaves, batch, calls = CAPACITY, 1_000, 10_000

    def update(tree: Any, key: tf.Tensor) -> Any:
        draws = random.uniform(key, [batch + 1])
        index = (tf.cast(draws[batch] * leaves, tf.int32) + 487 * tf.range(batch)) % leaves
        weights = draws[:batch] ** 4 * 1e3
        return sum_tree.update(tree, index, tf.where(weights < 1.0, 0.0, weights)), None

    def draw(carry: Any, key: tf.Tensor) -> Any:
        tree, zeros = carry
        drawn, _ = sum_tree.sample(tree, key, batch)
        zeros += tf.reduce_sum(tf.cast(tf.gather(tree[0], drawn) == 0.0, tf.int32))
        return (tree, zeros), None

    @tf.function(jit_compile=True, autograph=False)
    def run(keys: tf.Tensor) -> Any:
        tree, _ = scan(update, sum_tree.init(leaves), keys)
        (_, zeros), _ = scan(draw, (tree, tf.constant(0)), keys)
        return tree, zeros

    begin = time.perf_counter()
    tree, zeros = run(random.split(random.key(0), calls))
    exact = np.asarray(tree[0], np.float64).sum()
    error = abs(float(np.asarray(tree[-1], np.float64).sum()) - exact) / exact
    return [
        {
            "what": "sum tree after 10^7 updates",
            "relative_error": error,
            "zero_leaves_in_10^7_draws": int(zeros),
            "zero_leaves": int((np.asarray(tree[0]) == 0).sum()),
            "seconds": time.perf_counter() - begin,
        }
    ]


SECTIONS = {
    "throughput": throughput,
    "host": host,
    "in_place": in_place,
    "memory": memory,
    "sum_tree": sum_tree_exactness,
}


def table(lines: list[dict[str, Any]]) -> str:
    """The figures as text."""
    rows = []
    for line in lines:
        if "ratio" in line:
            rows.append(
                f"{line['what']:34s} {line['ours_us']:9.1f} us {line['peer']:>18s} {line['peer_us']:9.1f} us "
                f"  ratio {line['ratio']:5.2f}  (median {line['median_ratio']:5.2f})"
            )
        else:
            rows.append(f"{line['what']:34s} " + ", ".join(f"{k} {v:.3g}" for k, v in line.items() if k != "what"))
    return "\n".join(rows)


def main() -> None:
    """Measures what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true", help=f"write results/{RESULTS.name} beside this file")
    parser.add_argument("--only", nargs="+", choices=SECTIONS, default=list(SECTIONS))
    parser.add_argument("--repetitions", type=int, default=20)
    arguments = parser.parse_args()
    results: dict[str, Any] = {"machine": machine()}
    for name in arguments.only:
        results[name] = SECTIONS[name](arguments.repetitions)
        print(table(results[name]), flush=True)
    if arguments.write:
        RESULTS.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
