"""What the named sets learn: trains them over five seeds, and writes benchmarks/results/learning.json, docs/results.md
and a picture of learning curves per environment.

    make results                                        # what has no row yet, the cheapest first
    make results ARGS="--sets c51_cartpole dqn_catch"   # these, once more
    make results ARGS="--sets pqn_pong --seeds 1"       # with fewer seeds, where training takes hours
    make results ARGS="--sets ddpg_carracing --seeds 1 --eval_episodes 20"  # where whole episodes take minutes
    make results ARGS="--page"                          # the page alone, of what was measured

That takes many hours of a small machine. Each row is written when it is there, and a training that was broken off goes
on where it was; a row keeps the commit that it was measured on.
"""

from __future__ import annotations

import argparse
import json
import re
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from rl_fn import envs, sets
from rl_fn.media import curves, plots, statistics
from rl_fn.runs.files import read_json

ROOT = Path(__file__).parents[1]
ROWS, PUBLISHED = ROOT / "benchmarks" / "results" / "learning.json", ROOT / "benchmarks" / "published.json"
PAGE, PICTURES = ROOT / "docs" / "results.md", ROOT / "docs" / "results"
README = ROOT / "README.md"
README_ROW = re.compile(r"^(\| .+? \| .+? \| ).+?( \| `rl-fn train --hparams (\S+) .*` \|)$", re.MULTILINE)
SEEDS = 5
EPISODES = 100  # of each evaluation
EVALUATIONS = 20
# Environment -> the half-trained run whose steps agents learn from that step none themselves
RECORDED = {"Pendulum-v1": ("sac_pendulum", 2_500), "CartPole-v1": ("dqn_cartpole", 8_000)}
RECORDED_STEPS = 100_000

HEAD = """# Results

What the named sets score: whole episodes of the last parameters without exploration, 100 for each of the seeds 0 to 4,
or fewer seeds or episodes where it says so. IQM is the interquartile mean over seeds with its 95% bootstrap interval
(Agarwal et al., 2021). Seconds are those of training, compilation included, of all seeds together, on one or two cores,
for some rows with other work beside it. Published is the best score of another library, at its number of steps.
`make results` trains what has no row yet and writes this page.

"""


def main() -> None:
    """Trains what is asked for, and writes the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sets", nargs="+", metavar="NAME", help="train these, also where they have a row")
    parser.add_argument("--seeds", type=int, default=SEEDS, metavar="N", help="the seeds 0 to N - 1")
    parser.add_argument("--eval_episodes", type=int, default=EPISODES, metavar="N", help="of each evaluation")
    parser.add_argument("--most_steps", type=float, default=float("inf"), help="leave out longer ones")
    parser.add_argument("--folder", type=Path, default=ROOT / "runs" / "results", help="where they are trained")
    parser.add_argument("--page", action="store_true", help="train nothing")
    arguments = parser.parse_args()
    if arguments.seeds < 1:
        parser.error(f"seeds is {arguments.seeds}, expected at least 1")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # which ends the training, too
    for name in [] if arguments.page else chosen(arguments.sets, arguments.most_steps):
        measure(name, arguments.folder / name, range(arguments.seeds), arguments.eval_episodes)
        write_page()
    write_page()


def chosen(names: list[str] | None, most_steps: float) -> list[str]:
    """The sets to train, the shortest first."""
    if names:
        for name in names:
            sets.find(name)
        return names
    measured = read_rows()
    named = [name for name, content in sets.SETS.items() if content.env and name not in measured]
    return sorted((name for name in named if steps_of(name) <= most_steps), key=steps_of)


def steps_of(name: str) -> int:
    """Environment steps of a set."""
    return int(sets.make(sets.find(name)).train_steps)


def measure(name: str, folder: Path, seeds: range, episodes: int) -> None:
    """Trains a set over the seeds, with so many episodes in each evaluation, and writes its row."""
    named, steps = sets.find(name), steps_of(name)
    data = ["--dataset", str(recorded(named.env, folder.parent))] if is_offline(name) else []
    is_compiled = named.env in envs.names("compiled")
    if is_compiled:
        folders = [folder]
        commands = [[*command(name), "--copies", str(len(seeds)), "--output_dir", str(folder)]]
    else:
        folders = [folder / f"seed_{seed}" for seed in seeds]
        commands = [
            [*command(name), "--seed", str(seed), "--output_dir", str(one)]
            for seed, one in zip(seeds, folders, strict=True)
        ]
    for one in commands:
        judged = ["--eval_interval", str(max(1, steps // EVALUATIONS)), "--eval_episodes", str(episodes)]
        subprocess.run([sys.executable, "-m", *one, *data, *judged], check=True, cwd=ROOT)
    summaries = [read_json(path) for one in folders for path in sorted(one.glob("run_*/summary.json"))]
    [curve] = curves.read(folders, labels=[name] * len(folders))
    rows = read_rows()
    rows[name] = {
        "env": named.env,
        "agent": named.agent,
        "steps": summaries[0]["env_steps"],
        "returns": [summary["eval_return_mean"] for summary in summaries],
        "episodes": episodes,
        "seconds": round(sum(summary["train_seconds"] for summary in summaries) / (len(seeds) if is_compiled else 1)),
        "command": shown(name, len(seeds)),
        "commit": commit(),
        "date": time.strftime("%Y-%m-%d"),
        "curve": {"env_steps": curve.env_steps.tolist(), "returns": np.round(curve.values, 3).tolist()},
    }
    ROWS.write_text(json.dumps(rows, indent=1, sort_keys=True) + "\n")


def is_offline(name: str) -> bool:
    """Whether a set is of an agent that learns from a data set."""
    return bool(sets.make(sets.find(name)).schedule.is_offline)


def folder_of_data(env: str | None) -> str:
    """Where the data set of an environment is, in the folder of trainings."""
    return f"data_{env}"


def recorded(env: str | None, folder: Path) -> Path:
    """The data set of an environment, which is recorded where it is not there."""
    name, steps = RECORDED[str(env)]
    run, data = folder / f"half_{name}", folder / folder_of_data(env)
    if not data.exists():
        train = [*command(name), "--train_steps", str(steps), "--output_dir", str(run)]
        record = ["rl_fn", "record", str(run), "--output", str(data), "--steps", str(RECORDED_STEPS)]
        for one in (train, record):
            subprocess.run([sys.executable, "-m", *one], check=True, cwd=ROOT)
    return data


def curve_of(name: str, row: dict[str, Any]) -> curves.Curve:
    """The curve of a row."""
    points = row["curve"]
    return curves.Curve(name, row["env"], np.array(points["env_steps"]), np.array(points["returns"]))


def command(name: str) -> list[str]:
    """What trains a set, without where to."""
    return ["rl_fn", "train", "--hparams", name]


def shown(name: str, seeds: int) -> str:
    """What people type to train a set over so many seeds, without where to; NAME stands for any environment."""
    named = sets.find(name)
    data = ["--dataset", f"runs/results/{folder_of_data(named.env)}" if named.env else "FOLDER"]
    return " ".join(
        [
            "rl-fn",
            *command(name)[1:],
            *([] if named.env else ["--env", "NAME"]),
            *(data if is_offline(name) else []),
            *(["--copies", str(seeds)] if named.env in envs.names("compiled") else []),
        ]
    )


def commit() -> str:
    """What is measured, as git names it."""
    told = ["git", "rev-parse", "--short=10", "HEAD"]
    return subprocess.run(told, check=True, capture_output=True, text=True, cwd=ROOT).stdout.strip()


def read_rows() -> dict[str, Any]:
    """What was measured, by set."""
    return read_json(ROWS) if ROWS.exists() else {}


def write_page() -> None:
    """Writes the page and its pictures of what was measured."""
    rows, published = read_rows(), read_json(PUBLISHED)
    PICTURES.mkdir(exist_ok=True)
    by_env: dict[str, list[str]] = {}
    for name, content in sets.SETS.items():
        if content.env:
            by_env.setdefault(content.env, []).append(name)
    by_env.update({env: [*names, *extra] for env, names in by_env.items() if (extra := variants(rows, env))})
    parts = [section(env, names, rows, published.get(env, {})) for env, names in sorted(by_env.items())]
    PAGE.write_text(HEAD + "\n".join(parts))
    README.write_text(README_ROW.sub(lambda found: readme_row(found, rows), README.read_text()))


def readme_row(found: re.Match[str], rows: dict[str, Any]) -> str:
    """A line of the table in README.md, with what was measured where the set has a row."""
    if found[3] not in rows:
        return found[0]
    row = rows[found[3]]
    low, median, high = np.quantile(row["returns"], [0, 0.5, 1])
    digits = decimals(row["returns"])
    score = f"{median:.{digits}f} ({low:.{digits}f} to {high:.{digits}f})"
    return f"{found[1]}{row['steps']:,} | {score}{found[2]}"


def decimals(returns: Sequence[float]) -> int:
    """How many a score is given with: more where scores are small."""
    return 1 if max(map(abs, returns)) > 2 else 2


def variants(rows: dict[str, Any], env: str) -> list[str]:
    """Measured variants of sets, such as `dqn_cartpole-per`."""
    return [name for name, row in rows.items() if name not in sets.SETS and row["env"] == env]


def section(env: str, names: list[str], rows: dict[str, Any], published: dict[str, Any]) -> str:
    """An environment's part of the page; draws its picture where something was measured."""
    lines = [
        f"## {env}\n",
        "| set | steps | median | IQM (interval) | worst | seconds | published | commit |",
        "|---|---|---|---|---|---|---|---|",
    ]
    measured = sorted((name for name in names if name in rows), key=lambda name: -np.median(rows[name]["returns"]))
    for name in measured:
        row = rows[name]
        cells = [*scores(row), f"{row['seconds']:,}", published.get(row["agent"], ""), row["commit"]]
        lines.append(f"| `{name}` | {' | '.join(cells)} |")
    lines += [f"| `{name}` | {steps_of(name):,} | not measured | | | | | |" for name in names if name not in rows]
    if measured:
        drawn = [
            curves.Curve(
                name, env, np.array(rows[name]["curve"]["env_steps"]), np.array(rows[name]["curve"]["returns"])
            )
            for name in measured
        ]
        plots.draw_curves(drawn).save(picture(env))
        lines += ["", f"![Learning curves in {env}](results/{picture(env).name})"]
    return "\n".join([*lines, ""])


def scores(row: dict[str, Any]) -> list[str]:
    """Steps, median, IQM with its interval, and worst of a row, as text."""
    returns, digits = np.array(row["returns"]), decimals(row["returns"])
    iqm = statistics.of(statistics.iqm, [returns])
    low, high = statistics.interval(statistics.iqm, [returns])
    interval = f" ({low:.{digits}f} to {high:.{digits}f})" if len(returns) > 1 else ""
    median, worst = f"{np.median(returns):.{digits}f}", f"{returns.min():.{digits}f}"
    fewer = [f"{len(returns)} seed{'s' * (len(returns) > 1)}"] if len(returns) < SEEDS else []
    fewer += [f"{row['episodes']} episodes"] if row.get("episodes", EPISODES) < EPISODES else []
    steps = f"{row['steps']:,}" + (f" ({', '.join(fewer)})" if fewer else "")
    return [steps, median, f"{iqm:.{digits}f}{interval}", worst]


def picture(env: str) -> Path:
    """Where the learning curves of an environment are drawn."""
    return PICTURES / f"{re.sub(r'[^A-Za-z0-9]+', '_', env)}.png"


if __name__ == "__main__":
    main()
