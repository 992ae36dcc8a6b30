"""How near PPO's update phase is to what the machine can do: 64 environments of CartPole, as in `ppo_cartpole_64`.

The update phase is what follows a rollout: the advantages and all gradient steps. Its operations and bytes are
counted in the compiled program (see `hlo_cost`), and its time, the rate of matrix products and the rate of a copy are
measured one after the other in one process, of each the best of several runs.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

CASE = "ppo_cartpole_64"
REPETITIONS = 7
LARGE = 2048  # rows and columns of the large matrix product
COPIED = 1 << 26  # float32 numbers


def best(run: Callable[[], Any]) -> float:
    """Seconds of the fastest of several runs, after one that does not count."""
    run()
    seconds = []
    for _ in range(REPETITIONS):
        begin = time.perf_counter()
        run()
        seconds.append(time.perf_counter() - begin)
    return min(seconds)


def matrix_rate(rows: int, columns: int, products: int) -> float:
    """Operations per second of `[rows, columns]` times `[columns, columns]`, each product fed by the one before."""
    import tensorflow as tf

    left, right = tf.random.normal([rows, columns]), tf.random.normal([columns, columns]) / columns**0.5

    @tf.function(jit_compile=True, autograph=False)
    def run(x: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
        body = lambda count, x: (count + 1, tf.matmul(x, y))
        return tf.reduce_sum(tf.while_loop(lambda count, _: count < products, body, (tf.constant(0), x))[1])

    return 2 * products * rows * columns**2 / best(lambda: run(left, right).numpy())


def copy_rate() -> float:
    """Bytes read and written per second where a large array is copied, changed by an addition."""
    import tensorflow as tf

    from rl_fn import loops

    compiled = loops.compile(lambda x: (x + 1, {}), tf.zeros([COPIED]))
    repetitions = 4
    return repetitions * 2 * 4 * COPIED / best(lambda: compiled.run(repetitions))


def measure() -> dict[str, Any]:
    """The update's operations, bytes and time, and the machine's rates."""
    import tensorflow as tf
    from cases import find
    from hlo_cost import cost
    from machine import machine
    from sides.ours import agent_of

    from rl_fn import envs, loops, random

    case = find(CASE)
    env = envs.make(case.env)
    agent, hparams = agent_of(case, env)
    key = random.key(0)
    state = agent.init(key)

    @tf.function(jit_compile=True, autograph=False)
    def rollout(policy: Any, key: tf.Tensor) -> Any:
        actors = loops.init_actors(agent, env, hparams.num_envs, key)
        _, (trajectory, _) = loops.rollout(agent, env, policy, actors, key, hparams.rollout_length)
        return trajectory

    trajectory = rollout(state.policy, key)

    def update(carry: tuple) -> tuple:
        state, count = carry
        state, metrics = agent.update(state, trajectory, random.fold_in(key, count))
        return (state, count + 1), metrics

    compiled = loops.compile(update, (state, tf.constant(0)))
    repetitions = 10
    seconds = best(lambda: compiled.run(repetitions)) / repetitions
    gradient_steps = hparams.num_epochs * hparams.num_minibatches
    counted = cost(compiled.hlo(), unknown_trips=gradient_steps)
    minibatch = hparams.num_envs * hparams.rollout_length // hparams.num_minibatches
    rates = {
        "matrix": matrix_rate(LARGE, LARGE, products=8),
        "shapes": matrix_rate(minibatch, hparams.hidden_sizes[0], products=500),
    }
    return {
        "what": f"PPO's update phase with {hparams.num_envs} environments ({gradient_steps} gradient steps)",
        "seconds": seconds,
        "matrix_gflop": counted.operations / 1e9,
        "gigabytes": counted.bytes / 1e9,
        "matrix_gflop_per_s": rates["matrix"] / 1e9,
        "shapes_gflop_per_s": rates["shapes"] / 1e9,
        "copy_gb_per_s": copy_rate() / 1e9,
        "matrix_share": counted.operations / seconds / rates["matrix"],
        "shapes_share": counted.operations / seconds / rates["shapes"],
        "machine": machine(),
    }


if __name__ == "__main__":
    print(json.dumps(measure()))
