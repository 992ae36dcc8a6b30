"""Multi-step returns against rlax in one run: `python benchmarks/returns.py [--write]`, with rlax installed.

Both sides repeat a function inside one compiled program, where returns are computed in practice: what is
measured is the work and not the call. Each repetition feeds on the one before, so none can be left out.
The two sides take turns, and the fastest of many rounds counts.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import jax
import jax.numpy as jnp
import numpy as np
import rlax
import tensorflow as tf

from rl_fn import returns

RESULTS = Path(__file__).parent / "results" / "returns.json"
A, LAMBDA = 4, 0.95


def inputs(length: int, batch: int) -> dict[str, np.ndarray]:
    """Arrays by name, float32 and int32."""
    rng = np.random.default_rng(0)
    v = rng.normal(size=(length + 1, batch))
    x = {
        "values": v,
        "v_tm1": v[:-1],
        "v_t": v[1:],
        "r_t": rng.normal(size=(length, batch)),
        "discount_t": np.where(rng.random((length, batch)) < 0.02, 0.0, 0.99),
        "rho": 2 * rng.random((length, batch)),
        "q_tm1": rng.normal(size=(length, batch, A)),
        "q_t": rng.normal(size=(length, batch, A)),
        "pi_t": rng.dirichlet(np.ones(A), size=(length, batch)),
        "mu_t": rng.uniform(0.1, 1, size=(length, batch)),
        "a_tm1": rng.integers(A, size=(length, batch)),
        "a_t": rng.integers(A, size=(length, batch)),
    }
    return {name: value.astype(np.int32 if name[0] == "a" else np.float32) for name, value in x.items()}


def mapped(function: Callable) -> Callable:
    """rlax takes one sequence; ours take batches."""
    return jax.vmap(function, in_axes=1, out_axes=1)


def rlax_gae(r_t, discount_t, values):
    """rlax takes the values of T + 1 states."""
    return rlax.truncated_generalized_advantage_estimation(r_t, discount_t, LAMBDA, values)


def rlax_vtrace(*args):
    """Errors and advantages, both used."""
    out = rlax.vtrace_td_error_and_advantage(*args)
    return out.errors + out.pg_advantage


def our_vtrace(*args):
    """Errors and advantages, both used."""
    out = returns.vtrace(*args)
    return out.errors + out.advantages


def our_gae(*args):
    """Ours takes the values of both ends of each step."""
    return returns.generalized_advantage_estimation(*args, LAMBDA)


# Names of the arguments, ours, rlax's. The first floating-point argument is moved by each repetition.
CASES: dict[str, tuple[str, Callable, Callable]] = {
    "gae": ("r_t discount_t v_tm1 v_t", our_gae, mapped(rlax_gae)),
    "lambda_returns": (
        "r_t discount_t v_t",
        lambda *args: returns.lambda_returns(*args, LAMBDA),
        mapped(lambda *args: rlax.lambda_returns(*args, LAMBDA)),
    ),
    "vtrace errors": (
        "v_tm1 v_t r_t discount_t rho",
        lambda *args: returns.vtrace(*args).errors,
        mapped(lambda *args: rlax.vtrace(*args)),
    ),
    "vtrace": ("v_tm1 v_t r_t discount_t rho", our_vtrace, mapped(rlax_vtrace)),
    "q_lambda": (
        "q_tm1 a_tm1 r_t discount_t q_t",
        lambda *args: returns.transformed_q_lambda(*args, LAMBDA),
        mapped(lambda *args: rlax.q_lambda(*args, LAMBDA)),
    ),
    "retrace": (
        "q_tm1 q_t a_tm1 a_t r_t discount_t pi_t mu_t",
        lambda *args: returns.transformed_retrace(*args, LAMBDA),
        mapped(lambda *args: rlax.transformed_retrace(*args, LAMBDA)),
    ),
}

THEIR_ARGUMENTS = {"gae": "r_t discount_t values"}


def shifted(x: Any, result: Any) -> Any:
    """A little of the result goes into the next repetition."""
    return x + 1e-6 * (result[..., None] if len(x.shape) > len(result.shape) else result)


def in_tensorflow(function: Callable, arrays: list[np.ndarray], repetitions: int) -> Callable[[], np.ndarray]:
    """The repetitions as one compiled TensorFlow program."""
    tensors = [tf.constant(x) for x in arrays]

    @tf.function(jit_compile=True, autograph=False)
    def program(first: tf.Tensor, *rest: tf.Tensor) -> tf.Tensor:
        body = lambda i, x: (i + 1, shifted(x, function(x, *rest)))
        return tf.while_loop(lambda i, _: i < repetitions, body, (tf.constant(0), first))[1]

    return lambda: program(*tensors).numpy()


def in_jax(function: Callable, arrays: list[np.ndarray], repetitions: int) -> Callable[[], np.ndarray]:
    """The repetitions as one compiled JAX program."""
    tensors = [jnp.asarray(x) for x in arrays]

    @jax.jit
    def program(first: Any, *rest: Any) -> Any:
        return jax.lax.fori_loop(0, repetitions, lambda _, x: shifted(x, function(x, *rest)), first)

    return lambda: np.asarray(program(*tensors))


def measure(name: str, length: int, batch: int, rounds: int) -> dict[str, Any]:
    """One row of the table."""
    names, ours, theirs = CASES[name]
    x = inputs(length, batch)
    arrays = [x[argument] for argument in names.split()]
    their_arrays = [x[argument] for argument in THEIR_ARGUMENTS.get(name, names).split()]
    repetitions = max(200, 2_000_000 // (length * batch))  # so that the call itself does not count
    programs = {"rl_fn": in_tensorflow(ours, arrays, repetitions), "rlax": in_jax(theirs, their_arrays, repetitions)}
    results = [program() for program in programs.values()]
    np.testing.assert_allclose(results[0], results[1], rtol=1e-3, atol=1e-3)
    fastest = dict.fromkeys(programs, float("inf"))
    for _ in range(rounds):
        for side, program in programs.items():
            start = time.perf_counter()
            program()
            fastest[side] = min(fastest[side], (time.perf_counter() - start) / repetitions)
    microseconds = {f"{side}_us": round(1e6 * seconds, 1) for side, seconds in fastest.items()}
    ratio = round(fastest["rl_fn"] / fastest["rlax"], 2)
    return {"function": name, "T": length, "B": batch, **microseconds, "ratio": ratio}


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--write", action="store_true", help=f"write {RESULTS.name} beside this file")
    parser.add_argument("--rounds", type=int, default=25)
    parser.add_argument("--only", choices=list(CASES))
    args = parser.parse_args()
    rows = []
    print(f"{'function':16} {'T':>5} {'B':>5} {'rl_fn us':>10} {'rlax us':>10} {'ratio':>6}")
    for name in [args.only] if args.only else CASES:
        for length, batch in ((128, 256), (20, 32), (1024, 16), (64, 1024)):
            row = measure(name, length, batch, args.rounds)
            rows.append(row)
            print("{function:16} {T:5} {B:5} {rl_fn_us:10.1f} {rlax_us:10.1f} {ratio:6.2f}".format(**row), flush=True)
    if args.write:
        RESULTS.parent.mkdir(exist_ok=True)
        versions = {"tensorflow": tf.__version__, "jax": jax.__version__, "rlax": rlax.__version__}
        RESULTS.write_text(json.dumps({"versions": versions, "cpus": os.cpu_count(), "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
