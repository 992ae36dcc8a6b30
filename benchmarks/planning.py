"""Speed of Monte-Carlo tree search against mctx, in one process.

    python benchmarks/planning.py [--json results.json]

Needs JAX and mctx. Both search with the same network and the same numbers. The runs take turns; the ratio of the
fastest is the figure, and the median of the ratios of neighbours is shown beside it. Below 1, ours takes less time.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import jax
import jax.numpy as jnp
import mctx
import numpy as np
import tensorflow as tf

from rl_fn import planning, random

ACTIONS, STATE, HIDDEN = 8, 32, 64
CASES = [(16, 32), (64, 32), (64, 100), (256, 32)]  # trees, simulations
REPETITIONS = 20


def numbers(trees: int) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """A network with one hidden layer, and roots."""
    rng = np.random.default_rng(0)
    draw = lambda *shape: rng.normal(size=shape).astype(np.float32)
    params = {"hidden": draw(STATE + ACTIONS, HIDDEN) / 6, "out": draw(HIDDEN, STATE + ACTIONS + 2) / 8}
    return params, {"prior_logits": draw(trees, ACTIONS), "value": draw(trees), "embedding": draw(trees, STATE)}


def ours_step(params: Any, key: Any, action: Any, state: Any) -> Any:
    """The network in TensorFlow."""
    hidden = tf.tanh(tf.concat([state, tf.one_hot(action, ACTIONS)], axis=-1) @ params["hidden"])
    out = hidden @ params["out"]
    step = planning.ModelStep(out[:, 0], tf.fill([out.shape[0]], 0.99), out[:, 2 : 2 + ACTIONS], out[:, 1])
    return step, tf.tanh(out[:, 2 + ACTIONS :])


def theirs_step(params: Any, key: Any, action: Any, state: Any) -> Any:
    """The same in JAX."""
    hidden = jnp.tanh(jnp.concatenate([state, jax.nn.one_hot(action, ACTIONS)], axis=-1) @ params["hidden"])
    out = hidden @ params["out"]
    discount = jnp.full([out.shape[0]], 0.99)
    step = mctx.RecurrentFnOutput(
        reward=out[:, 0], discount=discount, prior_logits=out[:, 2 : 2 + ACTIONS], value=out[:, 1]
    )
    return step, jnp.tanh(out[:, 2 + ACTIONS :])


def measured(variant: str, trees: int, simulations: int) -> dict[str, Any]:
    """One case: the fastest of each side, and how they compare."""
    params, root = numbers(trees)
    search = {"muzero": planning.muzero_policy, "gumbel": planning.gumbel_muzero_policy}[variant]
    their_search = {"muzero": mctx.muzero_policy, "gumbel": mctx.gumbel_muzero_policy}[variant]

    @tf.function(jit_compile=True, autograph=False)
    def ours(params: Any, root: Any, key: tf.Tensor) -> Any:
        found = search(params, key, planning.Root(**root), ours_step, simulations)
        return found.action, found.action_weights

    @jax.jit
    def theirs(params: Any, root: Any, key: Any) -> Any:
        found = their_search(params, key, mctx.RootFnOutput(**root), theirs_step, simulations)
        return found.action, found.action_weights

    our_inputs = *tf.nest.map_structure(tf.constant, (params, root)), random.key(0)
    their_inputs = *jax.tree.map(jnp.asarray, (params, root)), jax.random.key(0)
    runs = (lambda: ours(*our_inputs)[0].numpy(), lambda: jax.block_until_ready(theirs(*their_inputs)))
    seconds: list[list[float]] = [[], []]
    for repetition in range(REPETITIONS + 1):
        for run, kept in zip(runs, seconds, strict=True):
            begin = time.perf_counter()
            run()
            if repetition:  # the first compiles
                kept.append(time.perf_counter() - begin)
    mine, theirs_seconds = map(np.array, seconds)
    return {
        "variant": variant,
        "trees": trees,
        "simulations": simulations,
        "ours_ms": 1e3 * mine.min(),
        "mctx_ms": 1e3 * theirs_seconds.min(),
        "ratio": mine.min() / theirs_seconds.min(),
        "median_ratio": float(np.median(mine / theirs_seconds)),
    }


def main() -> None:
    """Measures all cases."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", help="where the figures go")
    path = parser.parse_args().json
    rows = []
    for variant in ("muzero", "gumbel"):
        for case in CASES:
            rows.append(measured(variant, *case))
            print("  ".join(f"{name} {x:.3g}" if isinstance(x, float) else f"{x}" for name, x in rows[-1].items()))
    if path:
        with open(path, "w") as file:
            json.dump(rows, file, indent=1)


if __name__ == "__main__":
    main()
