"""A run in MLflow."""

from __future__ import annotations

from typing import Any

from rl_fn.runs import folder
from rl_fn.runs.reporters import mlflow_book
from rl_fn.runs.reporters.outbox import Record
from rl_fn.runs.reporters.tracker import Artifact, Tracker


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
        self._uri = mlflow_book.checked(uri)

    def receiver(self, run: Any) -> str:
        """See Tracker."""
        self._book = mlflow_book.Book(self._uri, run.config.output_dir)
        return self._book.receiver

    def open(self, run: Any, name: str) -> None:
        """See Tracker."""
        self._book.open(run.env.spec.name)
        config = run.config
        about = {"agent": config.agent, "hparams": config.hparams, **folder.versions()}
        title = config.output_dir.absolute().name
        self._whole = self._book.begin(f"{name}/all", title, self._settings(None), about)
        copies = range(config.copies if config.copies > 1 else 0)
        children = [
            self._book.begin(f"{name}/{copy}", self._title(copy), self._settings(copy), about, self._whole)
            for copy in copies
        ]
        self._runs = [*(children or [self._whole]), *[self._whole] * bool(children)]  # the whole is last

    def send(self, records: list[Record]) -> None:
        """See Tracker."""
        for index, run_id in enumerate(self._runs):
            points = [
                (tag, value, int(1000 * record.seconds), record.env_steps)
                for record in records
                for tag, value in [*record.values, record.means()][index].items()
            ]
            self._book.metrics(run_id, points)

    def end(self, artifacts: list[Artifact], is_finished: bool) -> None:
        """See Tracker."""
        for copy, path, name in artifacts:
            self._book.artifact(self._whole if copy is None else self._runs[copy], path, name)
        for run_id in set(self._runs):
            self._book.end(run_id, "FINISHED" if is_finished else "KILLED")
