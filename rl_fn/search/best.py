"""What a study has found: the best are judged again, and the best of those is a set that `--hparams` takes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from rl_fn import loops
from rl_fn.runs import files
from rl_fn.runs.config import RunConfig
from rl_fn.search import objective
from rl_fn.search.study import Study, Trial

FILE = "best.toml"
_FINALS = "finals"  # what a study remembers


class Final(NamedTuple):
    """One of the best trials, trained again."""

    trial: Trial
    score: float  # with fresh seeds; the trial's own where there were none


def judge(study: Study, stop: loops.Stop = lambda: False) -> list[Final]:
    """Trains the best trials again with fresh seeds, against the luckiest; best first. Others are not asked twice.

    Returns:
      The finalists, or nothing where `stop` said true or no trial came to its end.
    """
    trials = study.best(study.config.finalists or 1)
    if not study.config.finalists:
        return [Final(trial, float(trial.value or 0.0)) for trial in trials]
    known: Mapping[str, float] = study.shelf.study.user_attrs.get(_FINALS, {})
    if trials and {str(trial.number) for trial in trials} != set(known):
        returns = study.retrained(trials, stop)
        if returns is None:
            return []
        known = {str(number): objective.score(one) for number, one in returns.items()}
        study.shelf.study.set_user_attr(_FINALS, known)
    finals = [Final(trial, known[str(trial.number)]) for trial in trials]
    return sorted(finals, key=lambda final: -objective.finite(final.score))


def write(study: Study, final: Final) -> Path:
    """Writes the set, `best.toml` in the folder of the search; returns where."""
    config, count = study.config, len(study.finished())
    doc = f"Trial {final.trial.number} of {count} of a search from {config.hparams}: {final.score:.6g}."
    return write_set(config.output_dir / FILE, study.run_config, final.trial.values, doc)


def write_set(path: Path, run: RunConfig, values: Mapping[str, Any], doc: str) -> Path:
    """Writes a set of hyper-parameters as a file that `sets.read_toml` reads.

    Args:
      path: of the file.
      run: resolved settings that say agent, environment and the other values.
      values: over those.
      doc: one sentence.
    """
    told = {**run.hparam_override, "train_steps": run.train_steps, **values}
    lines = [f"agent = {toml(run.agent)}", f"env = {toml(run.env)}", f"doc = {toml(doc)}"]
    if run.env_kwargs:
        lines.append(f"env_kwargs = {toml(dict(run.env_kwargs))}")
    # There is no word for None in TOML; it is the default wherever it is allowed.
    lines += ["", "[values]", *(f"{name} = {toml(value)}" for name, value in told.items() if value is not None), ""]
    files.write(path, lambda file: file.write("\n".join(lines).encode()))
    return path


def toml(value: Any) -> str:
    """A value as TOML has it."""
    if isinstance(value, Mapping):
        told = (f"{toml(str(name))} = {toml(part)}" for name, part in value.items() if part is not None)
        return "{ " + ", ".join(told) + " }"
    if isinstance(value, tuple | list):
        return f"[{', '.join(map(toml, value))}]"
    return json.dumps(value, ensure_ascii=False) if isinstance(value, bool | str) else repr(value)
