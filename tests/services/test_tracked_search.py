"""A study and a population in MLflow and in Weights & Biases: one run of the whole, and one of each trial or member."""

import contextlib
import socket

import mlflow
import pytest

from rl_fn.search import Evolution, SearchConfig, best
from tests.services.test_search import Study, config, finished

SETTINGS = {"trials": 6, "batch": 3, "seeds": 1, "evaluations": 2, "objective": "auc"}


@pytest.fixture(scope="module")
def tracked(tmp_path_factory):
    """A study that was told to MLflow, ended early and gone on with; and MLflow's runs by their titles."""
    folder = tmp_path_factory.mktemp("tracked") / "mine"
    with contextlib.closing(Study(config(folder, **SETTINGS, track="mlflow"))) as first:
        assert next(first.run()).finished == 3
    study = Study(config(folder, **SETTINGS, track="mlflow"))
    finished(study)
    best.write(study, best.judge(study)[0])
    study.close()
    client = mlflow.MlflowClient(tracking_uri=f"sqlite:///{folder.parent / 'mlflow.db'}")
    (experiment,) = [one for one in client.search_experiments() if one.name == "CartPole-v1"]
    return study, client, client.search_runs([experiment.experiment_id])


def test_a_study_is_one_run_with_a_child_of_each_trial_also_where_it_was_gone_on_with(tracked):
    study, _, runs = tracked
    named = {one.info.run_name: one for one in runs}
    assert sorted(one.info.run_name for one in runs) == ["mine", *(f"trial {number}" for number in range(6))]
    parent = named.pop("mine")
    assert {one.data.tags["mlflow.parentRunId"] for one in named.values()} == {parent.info.run_id}
    assert {one.info.status for one in runs} == {"FINISHED"}
    for trial in study.finished():
        told = named[f"trial {trial.number}"].data
        assert told.params == {name: str(value) for name, value in trial.values.items()}
        assert told.metrics["objective"] == trial.value
        assert told.tags["state"] == "complete"
    assert (parent.data.params["method"], parent.data.params["digits"]) == ("tpe", "1")


def test_the_course_of_the_best_and_the_set_are_in_the_run_of_the_study(tracked):
    study, client, runs = tracked
    (parent,) = [one for one in runs if one.info.run_name == "mine"]
    course = [(point.step, point.value) for point in client.get_metric_history(parent.info.run_id, "best")]
    assert [step for step, _ in course] == [1, 2, 3, 4, 5, 6]
    assert [value for _, value in course] == sorted(value for _, value in course)
    assert course[-1][1] == study.best(1)[0].value
    assert [one.path for one in client.list_artifacts(parent.info.run_id)] == ["best.toml"]
    scores = client.get_metric_history(next(one for one in runs if one.info.run_name == "trial 0").info.run_id, "score")
    assert [point.step for point in scores] == [1, 2]


def test_a_server_that_is_not_there_costs_a_study_nothing_but_a_sentence(tmp_path):
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        uri = f"http://127.0.0.1:{nobody.getsockname()[1]}"
        given = {"trials": 2, "batch": 2, "seeds": 1}
        study = Study(config(tmp_path / "mine", **given, track="mlflow", track_uri=uri))
        notes = [note for progress in study.run() for note in progress.notes]
        study.close()
    assert len(study.finished()) == 2
    assert len([note for note in [*notes, *study.notes] if uri in note]) == 1
    with contextlib.closing(Study(config(tmp_path / "mine", **given, track="wandb"))) as again:
        assert finished(again) == study.finished()  # another receiver gets all of it
    runs = sorted(path.name.rpartition("-")[2] for path in (tmp_path / "wandb").glob("offline-run-*"))
    assert runs == ["0", "1", "study"]


def evolved(folder, stop=lambda: False, **settings):
    """A population that was gone on with until it was stopped or at its end, and what people were told."""
    given = {"method": "pbt", "space": "decay,offset", "trials": 5, "evaluations": 4, "eval_episodes": 2}
    evolution = Evolution(SearchConfig("tunes", folder, **given, **settings))
    with contextlib.closing(evolution):
        list(evolution.run(stop))
        if not stop():
            evolution.write(*evolution.judge())
    return evolution


def test_a_population_is_one_run_with_a_child_of_each_member_also_where_it_was_gone_on_with(tmp_path):
    evolved(tmp_path / "mine", iter([False, False, True, True]).__next__, track="mlflow")
    evolution = evolved(tmp_path / "mine", track="mlflow")
    client = mlflow.MlflowClient(tracking_uri=f"sqlite:///{tmp_path / 'mlflow.db'}")
    (experiment,) = [one for one in client.search_experiments() if one.name == "CartPole-v1"]
    named = {one.info.run_name: one for one in client.search_runs([experiment.experiment_id])}
    assert sorted(named) == ["member_0", "member_1", "member_2", "member_3", "member_4", "mine"]
    assert {one.info.status for one in named.values()} == {"FINISHED"}
    whole = named.pop("mine")
    assert {one.data.tags["mlflow.parentRunId"] for one in named.values()} == {whole.info.run_id}
    assert (whole.data.params["method"], whole.data.params["space"]) == ("pbt", "decay,offset")
    for member in range(5):
        rows = [row for row in evolution.rows if row.member == member]
        history = lambda tag, of=named[f"member_{member}"]: [
            (point.step, point.value) for point in client.get_metric_history(of.info.run_id, tag)
        ]
        steps = [24, 48, 64, 80]  # rollouts of eight steps, three or two in a generation
        assert history("decay") == [(step, row.settings["decay"]) for step, row in zip(steps, rows, strict=True)]
        assert [step for step, _ in history("took_over")] == steps
        assert [value for _, value in history("took_over")] == [float(row.parent != member) for row in rows]
    artifacts = [one.path for one in client.list_artifacts(whole.info.run_id)]
    assert artifacts == ["best.toml", "lineage.csv", "search.json"]


def test_a_server_that_is_not_there_costs_a_population_nothing_but_a_sentence(tmp_path):
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        uri = f"http://127.0.0.1:{nobody.getsockname()[1]}"
        first = evolved(tmp_path / "mine", track="mlflow", track_uri=uri)
    assert len(first.rows) == 20
    assert len([note for note in first.notes if uri in note]) == 1
    again = evolved(tmp_path / "mine", track="wandb")  # another receiver gets all of it
    assert again.rows == first.rows
    runs = sorted(path.name.rpartition("-")[2] for path in (tmp_path / "wandb").glob("offline-run-*"))
    assert runs == ["0", "1", "2", "3", "4"]
