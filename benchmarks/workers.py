"""How fast workers are, and how many of them a learner can take messages from.

    python benchmarks/workers.py speed --workers 1 2 4 8
    python benchmarks/workers.py speed --env envpool:Pong-v5 --more "hidden_sizes=(64,)" --workers 1 2
    python benchmarks/workers.py messages --workers 1 8 64
    python benchmarks/workers.py scores --workers 2 --sets ppo_cartpole sac_pendulum

`speed` trains PPO in 8 environments: CartPoles of Gymnasium whose step takes 2 ms in which nothing is computed, so that
it says how well acting is shared out also on a machine with few cores, or others. `messages` has workers that act
nothing: they answer at once with a rollout that was recorded, and the learner takes them without an update. `scores`
trains named sets with the seeds 0 to 4, one after the other, beside what `make results` measured in one process. Needs
the extra `workers`.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np

from rl_fn import envs
from rl_fn._src.xla.startup import import_tensorflow

_SLEEP_SECONDS = 0.002
ROWS = Path(__file__).parent / "results" / "learning.json"
SEEDS = range(5)
SETS = ("ppo_cartpole", "impala_cartpole", "dqn_cartpole-per", "sac_pendulum", "r2d2_memory_chain")
MORE = {"sac_pendulum": "num_envs={workers},gradient_steps={workers}"}  # which has one


class Sleeping(gymnasium.Wrapper):
    """An environment whose step takes a while."""

    def step(self, action: Any) -> Any:
        """See Gymnasium."""
        time.sleep(_SLEEP_SECONDS)
        return self.env.step(action)


def make_sleeping() -> gymnasium.Env:
    """Makes one."""
    return Sleeping(gymnasium.make("CartPole-v1"))


envs.register("SleepingCartPole-v1", "workers:make_sleeping", kind="host")


class Replaying:
    """A worker that answers with what was recorded."""

    def __init__(self, buffer: np.ndarray):
        self._buffer = buffer

    def rollout(self, policy: np.ndarray, version: int) -> Any:
        """See `rl_fn.runs.worker.Worker`."""
        from rl_fn.runs.worker import Acted

        return self._buffer, Acted((0.0, 0.0, 0.0), 0.001, (0, 0), {}, [])

    def is_there(self) -> bool:
        """See Worker."""
        return True

    def stop(self) -> None:
        """See Worker."""

    def close(self) -> None:
        """See Worker."""


def speed(env: str, more: str, num_workers: int, updates: int) -> None:
    """Trains for so many updates, and prints the speed after the first tenth of them."""
    from rl_fn.runs import Run, RunConfig

    with tempfile.TemporaryDirectory() as folder:
        config = RunConfig(
            hparams="ppo",
            output_dir=folder,
            env=env,
            imports=("workers",),
            hparam_override=f"num_envs=8,rollout_length=128,{more}",
            train_steps=updates * 8 * 128,
            eval_episodes=0,
            checkpoint_seconds=3600.0,
            num_workers=num_workers,
        )
        begin, idle = None, []
        with Run.from_config(config, reporters=[]) as run:
            for report in run:
                end = report.env_steps, time.perf_counter()
                if begin is None and report.iteration >= updates // 10:
                    begin = end
                elif begin is not None:
                    idle.append(float(report.metrics.get("learner_idle", 0.0)))
    assert begin, "no report after a tenth of the updates"
    rate = (end[0] - begin[0]) / (end[1] - begin[1])
    print(f"| {num_workers} | {rate:,.0f} | {np.mean(idle):.0%} |", flush=True)


def messages(num_workers: int, rollout_length: int, seconds: float) -> None:
    """Takes rollouts of one environment each for a while, and prints how many that were."""
    from rl_fn._src.loops.lanes import Lanes
    from rl_fn.runs import RunConfig, cluster, memory
    from rl_fn.runs.acting import Acting
    from rl_fn.runs.fleet import RayFleet

    with tempfile.TemporaryDirectory() as folder:
        overrides = f"num_envs=1,rollout_length={rollout_length}"
        config = RunConfig(hparams="ppo_cartpole", output_dir=folder, hparam_override=overrides).resolved()
        acting = Acting(config.to_json(), 0, 0, 0, threading.Event().is_set)
    policy = np.zeros(acting._policy.size, np.uint8)
    buffer, _ = acting.rollout(policy, 0)
    with cluster.connected(num_workers, None, memory.available()) as ray:
        remote = ray.remote(concurrency_groups={"watch": 1}, num_cpus=1)(Replaying)
        make_worker = lambda worker, generation: remote.remote(buffer)
        fleet = RayFleet(ray, make_worker, num_workers, 1, Lanes(num_workers, None, has_streams=False))
        try:
            fleet.publish(policy, 0)
            seen: set[int] = set()
            updates = 0
            while len(seen) < num_workers:
                seen |= {piece.worker for piece in fleet.take(lambda: False).pieces}
                fleet.publish(policy, updates := updates + 1)
            first, begin, busy = updates, time.perf_counter(), time.process_time()
            while (spent := time.perf_counter() - begin) < seconds:
                fleet.take(lambda: False)
                fleet.publish(policy, updates := updates + 1)
            busy = (time.process_time() - busy) / spent
        finally:
            fleet.close()
    rate = (updates - first) / spent
    print(
        f"| {num_workers} | {rollout_length} | {buffer.size / rollout_length:.0f} | {rate * num_workers:,.0f} | "
        f"{rate:,.1f} | {rate * num_workers * buffer.size / 1e6:.2f} | {rate * num_workers * rollout_length:,.0f} | "
        f"{busy:.0%} |",
        flush=True,
    )


def scores(names: Sequence[str], num_workers: int) -> None:
    """Trains sets with each seed, and prints the mean returns of their evaluations beside those of one process."""
    from rl_fn.runs import cluster, memory

    rows = json.loads(ROWS.read_text())
    with cluster.connected(num_workers, None, memory.available()):  # one Ray for all runs
        for name in names:
            returns = returns_of(name, num_workers)
            alone = rows[name]["returns"] if name in rows else [np.nan]
            each = ", ".join(f"{value:.1f}" for value in sorted(returns))
            print(
                f"| {name} | {num_workers} | {np.median(returns):.2f} | {np.median(alone):.2f} | {each} |", flush=True
            )


def returns_of(name: str, num_workers: int) -> list[float]:
    """The mean return of the last evaluation, for each seed."""
    from rl_fn.runs import Run, RunConfig

    returns = []
    for seed in SEEDS:
        with tempfile.TemporaryDirectory() as folder:
            more = MORE.get(name, "").format(workers=num_workers)
            config = RunConfig(
                hparams=name,
                output_dir=folder,
                hparam_override=more,
                seed=seed,
                num_workers=num_workers,
                eval_interval=10**9,
            )
            with Run.from_config(config, reporters=[]) as run:
                for _ in run:
                    pass
                returns.append(run.summaries[0]["eval_return_mean"])
    return returns


def main() -> None:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("speed", "messages", "scores"))
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2, 4, 8])
    parser.add_argument("--updates", type=int, default=60, help="of speed")
    parser.add_argument("--env", default="SleepingCartPole-v1", help="of speed")
    parser.add_argument("--more", default="hidden_sizes=(64,64)", help="hyper-parameters of speed")
    parser.add_argument("--rollout_length", type=int, nargs="+", default=[128], help="of messages")
    parser.add_argument("--seconds", type=float, default=10.0, help="of messages")
    parser.add_argument("--sets", nargs="+", default=SETS, metavar="NAME", help="of scores")
    args = parser.parse_args()
    import_tensorflow(compilation_cache=True)
    if args.what == "speed":
        print("| workers | steps/s | learner idle |\n|---|---|---|")
        for num_workers in args.workers:
            speed(args.env, args.more, num_workers, args.updates)
        return
    if args.what == "scores":
        print("| set | workers | median | in one process | each |\n|---|---|---|---|---|")
        for num_workers in args.workers:
            scores(args.sets, num_workers)
        return
    print("| workers | steps per message | bytes per step | messages/s | updates/s | MB/s | steps/s | learner's CPU |")
    print("|---|---|---|---|---|---|---|---|")
    for length in args.rollout_length:
        for num_workers in args.workers:
            messages(num_workers, length, args.seconds)


if __name__ == "__main__":
    main()
