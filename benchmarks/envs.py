"""Environments against gymnax in one run: `python benchmarks/envs.py [--write]`, as `make bench-parts` does.

Both sides step a batch of environments with random actions inside one compiled program, and carry the observation
along as a policy would need it. The two sides take turns; of several rounds the median counts.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import time
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

try:
    import gymnax
except ModuleNotFoundError as error:
    raise SystemExit("benchmarks/envs.py compares with gymnax, which `make bench-parts` installs") from error
import jax
import jax.numpy as jnp
import tensorflow as tf
from gymnasium import spaces
from machine import machine

from rl_fn import envs, random
from rl_fn._src.scan import scan

STEPS = 1 << 20  # of all environments together in one run
RESULTS = Path(__file__).parent / "results" / "envs.json"
# Ours, and gymnax's. Its MinAtar games know no sticky actions, which ours have here all the same; its SimpleBandit
# cannot be stepped.
ALIKE = (
    *("CartPole-v1", "MountainCar-v0", "MountainCarContinuous-v0", "Acrobot-v1", "Pendulum-v1", "Catch-bsuite"),
    *("DeepSea-bsuite", "MemoryChain-bsuite", "UmbrellaChain-bsuite", "DiscountingChain-bsuite"),
    "FourRooms-misc",
)
GAMES = ("Asterix", "Breakout", "Freeway", "SpaceInvaders")
NAMES = {**{name: name for name in ALIKE}, **{f"MinAtar/{game}-v1": f"{game}-MinAtar" for game in GAMES}}


def in_tensorflow(name: str, num_envs: int, num_steps: int) -> Callable[[int], float]:
    """Our program: from a seed to the sum of rewards."""
    env = envs.make(name)
    space = env.spec.action_space

    def actions(key: random.Key) -> tf.Tensor:
        if isinstance(space, spaces.Discrete):
            return random.randint(key, [num_envs], 0, int(space.n))
        return random.uniform(key, [num_envs, *space.shape], space.low, space.high)

    @tf.function(jit_compile=True, autograph=False)
    def program(key: tf.Tensor) -> tuple:
        def step(carry: tuple, keys: tf.Tensor) -> tuple:
            state, _, rewards = carry
            state, outcome = env.step(state, actions(keys[0]), keys[1])
            return (state, outcome.observation, rewards + outcome.reward), None

        start_key, key = tf.unstack(random.split(key))
        keys = tf.reshape(random.split(key, 2 * num_steps), [num_steps, 2, 2])
        carry, _ = scan(step, (*env.reset(start_key, num_envs), tf.zeros([num_envs])), keys)
        return tf.reduce_sum(carry[2]), carry[1]

    return lambda seed: float(program(random.key(seed))[0])


def in_jax(name: str, num_envs: int, num_steps: int) -> Callable[[int], float]:
    """The same program with gymnax."""
    env, params = gymnax.make(name)
    reset = jax.vmap(env.reset, in_axes=(0, None))
    env_step = jax.vmap(env.step, in_axes=(0, 0, 0, None))
    space = env.action_space(params)

    def actions(key: Any) -> Any:
        if isinstance(space, gymnax.environments.spaces.Discrete):
            return jax.random.randint(key, [num_envs], 0, space.n)
        return jax.random.uniform(key, [num_envs, *space.shape], minval=space.low, maxval=space.high)

    @jax.jit
    def program(key: Any) -> tuple:
        def step(carry: tuple, keys: Any) -> tuple:
            state, _, rewards = carry
            step_keys = jax.random.split(keys[1], num_envs)
            observation, state, reward, _, _ = env_step(step_keys, state, actions(keys[0]), params)
            return (state, observation, rewards + reward), None

        start_key, key = jax.random.split(key)
        observation, state = reset(jax.random.split(start_key, num_envs), params)
        keys = jax.random.split(key, (num_steps, 2))
        carry, _ = jax.lax.scan(step, (state, observation, jnp.zeros(num_envs)), keys)
        return carry[2].sum(), carry[1]

    return lambda seed: float(jax.block_until_ready(program(jax.random.key(seed)))[0])


def measure(name: str, num_envs: int, num_steps: int, rounds: int) -> dict[str, Any]:
    """One row of the table."""
    programs = {
        "rl_fn": in_tensorflow(name, num_envs, num_steps),
        "gymnax": in_jax(NAMES[name], num_envs, num_steps),
    }
    rates: dict[str, list[float]] = {side: [] for side in programs}
    for program in programs.values():
        program(0)  # compiles
    for seed in range(1, rounds + 1):
        for side, program in programs.items():
            start = time.perf_counter()
            program(seed)
            rates[side].append(num_envs * num_steps / (time.perf_counter() - start))
    ratios = [ours / theirs for ours, theirs in zip(rates["rl_fn"], rates["gymnax"], strict=True)]
    return {
        "environment": name,
        "num_envs": num_envs,
        **{f"{side}_steps_per_s": round(statistics.median(rates[side])) for side in programs},
        "ratio": round(statistics.median(ratios), 2),
    }


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--envs", nargs="+", choices=NAMES, default=list(NAMES), metavar="NAME")
    parser.add_argument("--num_envs", nargs="+", type=int, default=[64, 1024, 16_384, 65_536])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--write", action="store_true", help=f"write results/{RESULTS.name} beside this file")
    args = parser.parse_args()
    rows = []
    print(f"{'environment':20} {'envs':>6} {'rl_fn steps/s':>14} {'gymnax steps/s':>14} {'ratio':>6}")
    for name in args.envs:
        for num_envs in args.num_envs:
            row = measure(name, num_envs, max(1, STEPS // num_envs), args.rounds)
            rows.append(row)
            line = "{environment:20} {num_envs:6} {rl_fn_steps_per_s:14,} {gymnax_steps_per_s:14,} {ratio:6.2f}"
            print(line.format(**row), flush=True)
    if args.write:
        RESULTS.parent.mkdir(exist_ok=True)
        versions = {"tensorflow": tf.__version__, "jax": jax.__version__, "gymnax": metadata.version("gymnax")}
        RESULTS.write_text(json.dumps({"versions": versions, "machine": machine(), "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
