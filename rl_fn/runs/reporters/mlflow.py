"""A run in MLflow."""

from __future__ import annotations

import logging
import os
import re
from typing import Any
from urllib.parse import urlsplit

from rl_fn.runs import folder, stores
from rl_fn.runs.reporters.outbox import Record
from rl_fn.runs.reporters.scalars import settings
from rl_fn.runs.reporters.tracker import Artifact, Tracker

_SCHEMES = ("http", "https", "sqlite", "postgresql", "mysql", "mssql")
_MOST = {"params": 100, "metrics": 1000, "tags": 100}  # that MLflow takes at once


class MLflow(Tracker):
    """Tells MLflow: settings as parameters, curves as metrics, files as artefacts. Needs the extra `mlflow`.

    The experiment is the environment. A run of one copy is one run there; one of several is a run with the means over
    copies, and a child for each copy. A run that goes on is the same there, without a point twice.

    Args:
      uri: of a server or a database. Unless given, it is that of the environment variable MLFLOW_TRACKING_URI, or else
        the file `mlflow.db` beside the output folder. Artefacts of a database are in `mlflow_artifacts` there.

    Raises:
      ValueError: if MLflow is not installed, or the URI is not one of a server or database, or holds a password.
    """

    package = "mlflow"

    def __init__(self, uri: str | None = None):
        super().__init__()
        if uri is not None and urlsplit(uri).password:
            raise ValueError("track_uri holds a password, which would be written down: use MLFLOW_TRACKING_URI")
        self._uri = uri or os.environ.get("MLFLOW_TRACKING_URI") or ""
        if self._uri and re.split(r"[+:]", self._uri)[0] not in _SCHEMES:
            given = re.sub(r"//[^/]*@", "//", self._uri)  # without a password
            raise ValueError(f"track_uri is {given!r}, expected one that begins with {', '.join(_SCHEMES)}")

    def receiver(self, run: Any) -> str:
        """See Tracker."""
        beside = run.config.output_dir.absolute().parent
        # A server knows where artefacts go; with a database alone they would go to the current folder.
        self._artifacts = None if self._uri.startswith("http") else (beside / "mlflow_artifacts").as_uri()
        if isinstance(run.config.output_dir, stores.Address) and self._artifacts:
            self._artifacts = str(run.config.output_dir.parent / "mlflow_artifacts")
        self._uri = self._uri or f"sqlite:///{beside / 'mlflow.db'}"
        return re.sub(r"//[^/]*@", "//", self._uri)  # without a password

    def open(self, run: Any, name: str) -> None:
        """See Tracker."""
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")  # it is tried again here
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "10")
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
        from mlflow import MlflowClient

        logging.getLogger("mlflow").setLevel(logging.WARNING)
        self._client = MlflowClient(tracking_uri=self._uri)
        env = run.env.spec.name
        known = self._client.get_experiment_by_name(env)
        kind = {"mlflow.experimentKind": "custom_model_development"}  # that its page shows as training
        new = lambda: self._client.create_experiment(env, self._artifacts, kind)
        self._experiment = known.experiment_id if known else new()
        self._whole = self._opened(run, f"{name}/all", run.config.output_dir.absolute().name, 0, {})
        parent = {"mlflow.parentRunId": self._whole}
        copies = range(run.config.copies if run.config.copies > 1 else 0)
        children = [self._opened(run, f"{name}/{copy}", f"run_{copy}", copy, parent) for copy in copies]
        self._runs = [*(children or [self._whole]), *[self._whole] * bool(children)]  # the whole is last

    def send(self, records: list[Record]) -> None:
        """See Tracker."""
        from mlflow.entities import Metric

        for index, run_id in enumerate(self._runs):
            metrics = [
                Metric(re.sub(r"[^\w./ -]", "_", tag), value, int(1000 * record.seconds), record.env_steps)
                for record in records
                for tag, value in [*record.values, record.means()][index].items()
            ]
            self._log(run_id, metrics=metrics)

    def end(self, artifacts: list[Artifact], is_finished: bool) -> None:
        """See Tracker."""
        for copy, path, name in artifacts:
            run_id = self._whole if copy is None else self._runs[copy]
            self._client.log_artifact(run_id, str(path), os.path.dirname(name) or None)
        for run_id in set(self._runs):
            self._client.set_terminated(run_id, "FINISHED" if is_finished else "KILLED")

    def _opened(self, run: Any, name: str, title: str, copy: int, tags: dict[str, str]) -> str:
        """The MLflow run of a name: the one that is there, or a new one."""
        from mlflow.entities import Param, RunTag

        found = self._client.search_runs([self._experiment], f"tags.`rl_fn.run` = '{name}'", max_results=1)
        new = lambda: self._client.create_run(self._experiment, tags={"rl_fn.run": name, **tags}, run_name=title)
        run_id, known = (one := found[0] if found else new()).info.run_id, one.data.params
        told = {key: str(value)[:6000] for key, value in settings(run.config, copy).items()}
        self._log(run_id, params=[Param(*item) for item in told.items() if item[0] not in known])  # the others stay
        about = {"agent": run.config.agent, "hparams": run.config.hparams, **folder.versions()}
        self._log(run_id, tags=[RunTag(key, str(value)) for key, value in about.items() if value])
        self._client.update_run(run_id, status="RUNNING")
        return run_id

    def _log(self, run_id: str, **several: list[Any]) -> None:
        for kind, values in several.items():
            for first in range(0, len(values), _MOST[kind]):
                self._client.log_batch(run_id, **{kind: values[first : first + _MOST[kind]]})
