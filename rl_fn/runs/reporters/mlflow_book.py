"""MLflow's runs by names of our own, found again by whoever goes on with them."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from rl_fn.runs import stores
from rl_fn.runs.errors import without_password

_SCHEMES = ("http", "https", "sqlite", "postgresql", "mysql", "mssql")
# A password in which the host seems to end: what would be its port is no number.
_CUT = re.compile(r"[^/]*//[^/?#@\[]*:(?!\d+[/?#])[^/?#@]*[/?#].*@")
_MOST = {"params": 100, "metrics": 1000, "tags": 100}  # that MLflow takes at once
_LONGEST = 6000  # letters of a parameter


def checked(uri: str | None) -> str:
    """The URI of a server or a database: that given, or of the environment variable; "" for neither.

    Raises:
      ValueError: if it is not one, or holds a password that would be written down or that MLflow could not read.
    """
    if uri is not None and (urlsplit(uri).password or _CUT.match(uri)):
        raise ValueError("track_uri holds a password, which would be written down: use MLFLOW_TRACKING_URI")
    name = "track_uri" if uri else "MLFLOW_TRACKING_URI"
    uri = uri or os.environ.get("MLFLOW_TRACKING_URI") or ""
    if uri.startswith("http") and _CUT.match(uri):
        raise ValueError(
            "MLFLOW_TRACKING_URI holds a password with /, ? or # in it, expected it percent-encoded: %2F, %3F or %23"
        )
    if uri and re.split(r"[+:]", uri)[0] not in _SCHEMES:
        raise ValueError(f"{name} is {without_password(uri)!r}, expected one that begins with {', '.join(_SCHEMES)}")
    return uri


class Book:
    """Runs in MLflow, each found again by its name.

    Args:
      uri: from `checked`; "" for the file `mlflow.db` beside the output folder.
      output_dir: of what is told of. Artefacts of a database are in `mlflow_artifacts` beside it.
    """

    def __init__(self, uri: str, output_dir: Path):
        beside = output_dir.absolute().parent
        # A server knows where artefacts go; with a database alone they would go to the current folder.
        self._artifacts = None if uri.startswith("http") else (beside / "mlflow_artifacts").as_uri()
        if isinstance(output_dir, stores.Address) and self._artifacts:
            self._artifacts = str(output_dir.parent / "mlflow_artifacts")
        self._uri = uri or f"sqlite:///{beside / 'mlflow.db'}"
        self.receiver = without_password(self._uri)

    def open(self, env: str) -> None:
        """Opens the experiment of an environment, which is made where it is missing."""
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")  # it is tried again here
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "10")
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
        from mlflow import MlflowClient

        logging.getLogger("mlflow").setLevel(logging.WARNING)
        self._client = MlflowClient(tracking_uri=self._uri)
        known = self._client.get_experiment_by_name(env)
        kind = {"mlflow.experimentKind": "custom_model_development"}  # that its page shows as training
        new = lambda: self._client.create_experiment(env, self._artifacts, kind)
        self._experiment = known.experiment_id if known else new()

    def begin(
        self,
        name: str,
        title: str,
        params: Mapping[str, Any],
        tags: Mapping[str, Any],
        parent: str | None = None,
        begin: int | None = None,
    ) -> str:
        """Begins a run, or goes on with it; parameters that it has stay. Returns its id.

        Args:
          name: its own, by which it is found.
          title: which people see.
          params: by name.
          tags: by name; those without a value are left out.
          parent: the id of the run that it stands under.
          begin: milliseconds since 1970, if not now.
        """
        from mlflow.entities import Param, RunTag

        found = self._client.search_runs([self._experiment], f"tags.`rl_fn.run` = '{name}'", max_results=1)
        above = {"mlflow.parentRunId": parent} if parent else {}
        new = lambda: self._client.create_run(self._experiment, begin, {"rl_fn.run": name, **above}, title)
        run_id, known = (one := found[0] if found else new()).info.run_id, one.data.params
        told = {key: str(value)[:_LONGEST] for key, value in params.items()}
        self._log(run_id, params=[Param(*item) for item in told.items() if item[0] not in known])
        self._log(run_id, tags=[RunTag(key, str(value)) for key, value in tags.items() if value])
        self._client.update_run(run_id, status="RUNNING")
        return run_id

    def metrics(self, run_id: str, points: list[tuple[str, float, int, int]]) -> None:
        """Tells points: tag, value, milliseconds since 1970 and step. Equal ones are there once."""
        from mlflow.entities import Metric

        self._log(run_id, metrics=[Metric(re.sub(r"[^\w./ -]", "_", tag), *point) for tag, *point in points])

    def artifact(self, run_id: str, path: Path, name: str) -> None:
        """Tells a file, under a name that may have folders."""
        self._client.log_artifact(run_id, str(path), os.path.dirname(name) or None)

    def end(self, run_id: str, status: str, end: int | None = None) -> None:
        """Ends a run: FINISHED, FAILED or KILLED."""
        self._client.set_terminated(run_id, status, end)

    def _log(self, run_id: str, **several: list[Any]) -> None:
        for kind, values in several.items():
            for first in range(0, len(values), _MOST[kind]):
                self._client.log_batch(run_id, **{kind: values[first : first + _MOST[kind]]})
