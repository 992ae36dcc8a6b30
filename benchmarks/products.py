"""How much of an iteration its matrix products take: `python benchmarks/products.py [--cases NAME ...] [--write]`.

The products of a whole iteration (rollout and update) are counted by shape in the optimised program. Each shape is then
timed alone, in a loop inside one compiled program, with as many threads as the iteration has. Their sum is what the
products would take if nothing else were to be done, one after the other. Each case is a process of its own.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import apart
from cases import CASES, find
from hlo_cost import Product, cost
from limits import best
from machine import machine

RESULTS = Path(__file__).parent / "results" / "products.json"
COMPARED = {name: case for name, case in CASES.items() if case.iterations and "rejax" in case.targets}
MEASURED = tuple(name for name, case in COMPARED.items() if case.copies == 1)  # copies are several programs
LEAST_SHARE = 0.002  # of all operations, below which a shape takes the rate of the others
LEAST_OPERATIONS = 2e9  # of a run that is timed


def seconds_of(product: Product) -> float:
    """Seconds that one product takes in a loop of such products, each waiting for an element of the one before."""
    import tensorflow as tf

    equation = product.equation()
    left, right = tf.random.normal(product.left), tf.random.normal(product.right)
    count = max(1, round(LEAST_OPERATIONS / product.operations))

    @tf.function(jit_compile=True, autograph=False)
    def run(left: tf.Tensor, right: tf.Tensor) -> tf.Tensor:
        start = [[0] * left.shape.rank] * 2  # a single row would be a selection over the whole array

        def body(index: tf.Tensor, left: tf.Tensor, out: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
            out = tf.einsum(equation, left, right)
            element = tf.reshape(out, [-1])[0]
            return index + 1, tf.tensor_scatter_nd_update(left, start, tf.stack([element, element])), out

        out = tf.zeros(tf.einsum(equation, left, right).shape)
        return tf.while_loop(lambda index, *_: index < count, body, (tf.constant(0), left, out))[2]

    return best(lambda: run(left, right).numpy()) / count


def measure(name: str) -> dict[str, Any]:
    """The figures of a case, in this process."""
    from sides.ours import Compiled

    case = find(name)
    side = Compiled(case)
    side.run(case.first_iterations)
    settings = case.settings
    counted = cost(side.hlo(), unknown_trips=settings.get("num_epochs", 1) * settings.get("num_minibatches", 1))
    timed = {
        product: seconds_of(product)
        for product, times in counted.products.items()
        if times * product.operations > LEAST_SHARE * counted.operations
    }
    products_seconds = sum(counted.products[product] * each for product, each in timed.items())
    share = sum(counted.products[product] * product.operations for product in timed) / counted.operations
    return {
        "gflop": counted.operations / 1e9,
        "products_ms": 1e3 * products_seconds / share,
        "shapes": {
            product.equation() + f" {list(product.left)} {list(product.right)}": [counted.products[product], 1e6 * each]
            for product, each in sorted(timed.items(), key=lambda pair: -counted.products[pair[0]] * pair[1])
        },
    }


def main() -> None:
    """Prints the figures of each case."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", nargs="+", choices=MEASURED, default=list(MEASURED), metavar="NAME")
    parser.add_argument("--here", action="store_true", help="the one case in this process, as JSON")
    parser.add_argument("--write", action="store_true", help=f"write results/{RESULTS.name} beside this file")
    args = parser.parse_args()
    if args.here:
        return print(json.dumps(measure(args.cases[0])))
    results = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
    for name in args.cases:
        results[name] = {**apart.measured("products", "--here", "--cases", name), "machine": machine()}
        gflop, milliseconds = results[name]["gflop"], results[name]["products_ms"]
        print(f"{name:20} {gflop:9.3f} GFLOP {milliseconds:9.3f} ms", flush=True)
        if args.write:
            RESULTS.write_text(json.dumps(results, indent=1) + "\n")
    return None


if __name__ == "__main__":
    main()
