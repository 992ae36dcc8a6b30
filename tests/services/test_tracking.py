"""A run in MLflow, in a database and on a server that comes and goes, and in Weights & Biases."""

import csv
import json
import os
import socket
import subprocess
import sys
import time
import urllib.request

import mlflow
import pytest
import tensorflow as tf
from wandb.proto import wandb_internal_pb2
from wandb.sdk.internal.datastore import DataStore

from rl_fn import envs
from rl_fn.runs import Run
from rl_fn.runs.reporters import MLflow, Table, WandB, mlflow_book
from tests.runs import tiny

STEPS = 640  # in 80 iterations


def make(folder, reporter, **settings):
    given = {"train_steps": STEPS, "eval_episodes": 2, "eval_interval": 32, "checkpoint_seconds": 0.0, **settings}
    return Run(tiny.agent(), envs.make("Catch-bsuite"), folder, reporters=[Table(), reporter], **given)


def client(folder):
    return mlflow.MlflowClient(tracking_uri=f"sqlite:///{folder / 'mlflow.db'}")


def found(client):
    """All runs by their names."""
    (experiment,) = [one for one in client.search_experiments() if one.name == "Catch-bsuite"]
    return {one.info.run_name: one for one in client.search_runs([experiment.experiment_id])}


def points(client, run, tag):
    return sorted((point.step, point.value) for point in client.get_metric_history(run.info.run_id, tag))


def written(folder, tag):
    with (folder / "metrics.csv").open() as file:
        return [(int(row["env_steps"]), float(row[tag])) for row in csv.DictReader(file) if row[tag]]


@pytest.fixture(scope="module")
def tracked(tmp_path_factory):
    """A run of two copies that was killed after what its newest checkpoint holds, and went on; and MLflow's client."""
    folder = tmp_path_factory.mktemp("tracked")
    for report in make(folder / "two", MLflow(), copies=2):
        if report.env_steps >= STEPS // 2:
            break
    for copy in range(2):
        max((folder / "two" / f"run_{copy}" / "checkpoints").glob("iteration_*")).unlink()
    run = make(folder / "two", MLflow(), copies=2)
    run.start()
    assert run.env_steps < report.env_steps
    list(run)
    return folder, client(folder)


@pytest.mark.parametrize(
    ("uri", "match"),
    [
        ("http://me:secret@host", "track_uri holds a password, which would be written down: use MLFLOW_TRACKING_URI"),
        ("http://me:the/secret@host", "track_uri holds a password"),
        ("postgresql://me:the/secret@host/db", "track_uri holds a password"),
        ("./mlruns", "track_uri is './mlruns', expected one that begins with http, https, sqlite"),
    ],
)
def test_a_uri_that_cannot_be_is_refused(uri, match):
    with pytest.raises(ValueError, match=match) as refused:
        MLflow(uri)
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize("uri", ["http://me:the/secret@host", "https://me:/secret@host:5000", "http://me:the#secret@h"])
def test_a_password_that_mlflow_could_not_read_is_to_be_percent_encoded(uri, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    with pytest.raises(ValueError, match="in it, expected it percent-encoded: %2F") as refused:
        MLflow()
    assert "secret" not in str(refused.value)


def test_a_uri_of_the_environment_variable_is_refused_by_the_name_of_that(monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "./mlruns")
    with pytest.raises(ValueError, match=r"MLFLOW_TRACKING_URI is '\./mlruns', expected one that begins with http"):
        MLflow()


@pytest.mark.parametrize("uri", ["http://me:12%2F3@host", "http://host:5000/a@b", "http://[::1]:5000/a@b"])
def test_other_uris_of_a_server_are_taken(uri, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    assert mlflow_book.checked(None) == uri


def test_copies_are_children_of_one_run(tracked):
    _, client = tracked
    runs = found(client)
    assert set(runs) == {"two", "run_0", "run_1"}
    whole = runs["two"]
    assert [runs[f"run_{copy}"].data.tags["mlflow.parentRunId"] for copy in range(2)] == [whole.info.run_id] * 2
    assert {one.info.status for one in runs.values()} == {"FINISHED"}
    params = runs["run_1"].data.params
    assert (params["seed"], params["train_steps"], params["env"]) == ("1", "640", "Catch-bsuite")
    assert runs["run_1"].data.tags["tensorflow"] == tf.__version__


def test_a_run_that_goes_on_has_each_point_once(tracked):
    folder, client = tracked
    runs = found(client)
    for copy in range(2):
        for tag in ("eval/return_mean", "train/seen", "rollout/episodes"):
            there = points(client, runs[f"run_{copy}"], tag)
            assert there == written(folder / "two" / f"run_{copy}", tag), tag
    means = [
        (step, (one + other) / 2)
        for (step, one), (_, other) in zip(
            *[points(client, runs[f"run_{copy}"], "eval/return_mean") for copy in range(2)], strict=True
        )
    ]
    assert points(client, runs["two"], "eval/return_mean") == means


def test_settings_curves_and_a_picture_are_artifacts(tracked):
    _, client = tracked
    runs = found(client)
    paths = lambda name: {one.path for one in client.list_artifacts(runs[name].info.run_id)}
    assert {"config.json", "metrics.csv"} <= paths("run_0")
    assert paths("two") == {"returns.png"}


def test_what_came_after_the_end_is_told_when_the_command_is_repeated(tracked):
    folder, client = tracked
    exported = folder / "two" / "run_1" / "export" / "saved_model" / "saved_model.pb"
    exported.parent.mkdir(parents=True)
    exported.write_bytes(b"a policy")
    assert list(make(folder / "two", MLflow(), copies=2)) == []
    run_id = found(client)["run_1"].info.run_id
    assert "export/saved_model/saved_model.pb" in {
        one.path for one in client.list_artifacts(run_id, "export/saved_model")
    }
    assert "summary.json" in {one.path for one in client.list_artifacts(run_id)}
    assert len(found(client)) == 3


class Server:
    """MLflow's own server on loopback, which may be stopped and started again."""

    def __init__(self, folder):
        self._folder = folder
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self._port = free.getsockname()[1]
        self.uri = f"http://127.0.0.1:{self._port}"

    def start(self):
        database, artifacts = f"sqlite:///{self._folder}/server.db", f"{self._folder}/artifacts"
        command = ["server", "--backend-store-uri", database, "--artifacts-destination", artifacts, "--workers", "1"]
        environment = {**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
        with (self._folder / "server.log").open("w") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "mlflow", *command, "--host", "127.0.0.1", "--port", str(self._port)],
                stdout=log,
                stderr=log,
                env=environment,
                cwd=self._folder,
                start_new_session=True,
            )
        for _ in range(1_200):
            try:
                urllib.request.urlopen(f"{self.uri}/health", timeout=5).close()
                return
            except OSError:
                assert self._process.poll() is None, (self._folder / "server.log").read_text()
                time.sleep(0.1)
        raise TimeoutError("MLflow's server has not begun to answer")

    def stop(self):
        os.killpg(self._process.pid, 9)
        self._process.wait()


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    server = Server(tmp_path_factory.mktemp("server"))
    server.start()
    yield server
    server.stop()


def test_a_server_that_is_stopped_during_a_run_misses_nothing_once_it_is_back(server, tmp_path):
    client, folder = mlflow.MlflowClient(tracking_uri=server.uri), tmp_path / "one"
    run = make(folder, MLflow(server.uri))
    for report in run:
        if report.env_steps == 80:
            deadline = time.monotonic() + 120
            while not (known := found_or_none(client)) or not known.data.metrics:
                assert time.monotonic() < deadline
                time.sleep(0.1)
            server.stop()
    assert run.summary["env_steps"] == STEPS  # it came to its end
    (told,) = [note for note in run.notes if server.uri in note]
    assert "mlflow.jsonl" in told
    server.start()
    assert len(points(client, found(client)["one"], "train/seen")) < len(written(folder / "run_0", "train/seen"))
    again = make(folder, MLflow(server.uri))
    assert list(again) == []
    one = found(client)["one"]
    assert one.info.status == "FINISHED"
    for tag in ("train/seen", "eval/return_mean"):
        assert points(client, one, tag) == written(folder / "run_0", tag)
    assert not [note for note in again.notes if server.uri in note]


def found_or_none(client):
    return found(client).get("one") if client.get_experiment_by_name("Catch-bsuite") else None


def test_a_server_that_is_not_there_costs_a_run_nothing_but_a_sentence(tmp_path):
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        uri = f"http://127.0.0.1:{nobody.getsockname()[1]}"
        run = make(tmp_path / "one", MLflow(uri))
        begin = time.monotonic()
        list(run)
        assert time.monotonic() - begin < 60
    assert run.summary["env_steps"] == STEPS
    assert len([note for note in run.notes if uri in note]) == 1
    list(make(tmp_path / "one", MLflow()))  # another receiver gets all of it
    there = points(client(tmp_path), found(client(tmp_path))["one"], "train/seen")
    assert there == written(tmp_path / "one" / "run_0", "train/seen")


def told_to_wandb(folder):
    """The points `(step, loss)` in the files of W&B, by the ids of its runs."""
    told = {}
    for path in sorted((folder / "wandb").glob("offline-run-*/run-*.wandb")):
        store = DataStore()
        store.open_for_scan(str(path))
        while content := store.scan_data():
            record = wandb_internal_pb2.Record.FromString(content)
            if record.WhichOneof("record_type") != "history":
                continue
            items = {item.key or "/".join(item.nested_key): json.loads(item.value_json) for item in record.history.item}
            if "train/seen" in items:
                point = (record.history.step.num or items["_step"], items["train/seen"])
                told.setdefault(path.stem.partition("-")[2], []).append(point)
    return told


def test_weights_and_biases_gets_each_point_once_in_files_of_its_own(tmp_path):
    for report in make(tmp_path / "two", WandB(), copies=2):
        if report.env_steps >= STEPS // 2:
            break
    list(make(tmp_path / "two", WandB(), copies=2))
    told = told_to_wandb(tmp_path)
    assert len(told) == 2
    assert [told[name] for name in sorted(told)] == [
        written(tmp_path / "two" / f"run_{copy}", "train/seen") for copy in range(2)
    ]
