"""Every point of a curve is there once, whatever happened to the run."""

import csv
import re
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow as tf
from tensorboard.compat.proto import event_pb2
from tensorboard.util.tensor_util import make_ndarray

from rl_fn import envs, loops
from rl_fn.loops import EpisodeMeans
from rl_fn.runs import Report, Run
from rl_fn.runs.reporters import Table, TensorBoard
from rl_fn.runs.reporters.events import cut_back
from tests.runs import tiny


@pytest.fixture(scope="module")
def env():
    return envs.make("Catch-bsuite")


def make(env, folder, **settings):
    settings = {"train_steps": 640, "eval_episodes": 2, "eval_interval": 32, "checkpoint_seconds": 3600.0, **settings}
    return Run(tiny.agent(), env, folder, **settings)


def points(folder):
    """All of TensorBoard's files of a folder, record by record: (tag, step, value) of the curves but speeds."""
    found = []
    for path in sorted(folder.glob("events*")):
        for record in tf.data.TFRecordDataset(str(path)).as_numpy_iterator():
            event = event_pb2.Event.FromString(record)
            for value in event.summary.value:
                if value.tag.startswith(("rollout/", "train/", "eval/", "loss")):
                    found.append((value.tag, event.step, make_ndarray(value.tensor).item()))
    return sorted(found)


def table(folder):
    """metrics.csv, without speeds."""
    with (folder / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    return [{tag: value for tag, value in row.items() if not tag.startswith("time/")} for row in rows]


@pytest.fixture(scope="module")
def whole(env, tmp_path_factory):
    run = make(env, tmp_path_factory.mktemp("whole"))
    list(run)
    return run.folder()


def test_a_table_says_what_tensorboard_says(whole):
    rows = table(whole)
    assert [int(row["env_steps"]) for row in rows] == list(range(8, 641, 8))
    in_table = [
        (tag, int(row["env_steps"]), row[tag]) for row in rows for tag in row if tag != "env_steps" and row[tag]
    ]
    in_tensorboard = points(whole)
    assert [(tag, step) for tag, step, _ in sorted(in_table)] == [(tag, step) for tag, step, _ in in_tensorboard]
    np.testing.assert_allclose(
        [float(value) for *_, value in sorted(in_table)], [value for *_, value in in_tensorboard], rtol=1e-6
    )
    assert [row["eval/return_mean"] != "" for row in rows[:5]] == [False, False, False, True, False]


def test_the_names_of_curves_are_documented(whole):
    text = (Path(__file__).parents[2] / "docs" / "files.md").read_text()
    documented = set(re.findall(r"`((?:rollout|train|eval|time)/[a-z_.]+)`", text))
    with (whole / "metrics.csv").open() as file:
        names = set(next(csv.reader(file))[1:])
    documented = {name for name in documented if not name.startswith("train/")}  # which an agent's own may be
    assert documented - {"eval/film"} == names - {"train/seen"}


def test_no_point_is_doubled_or_missing_after_many_ends(env, whole, tmp_path):
    """Left without a word, as by a process that was killed: before the first checkpoint, after one, and at one."""
    left = []
    for end, checkpoint_seconds in ((15, 3600.0), (30, 0.05), (60, 0.0)):
        run = make(env, tmp_path, checkpoint_seconds=checkpoint_seconds)
        run.start()
        for reporter in run.reporters:
            reporter.start(run)
        left.append(run._train())  # to close it would save
        while next(left[-1]).iteration < end:
            pass
        run._storage.settle()  # the threads of a process that was killed write no more
        (tmp_path / "run_0" / "metrics.csv").open("a").write("88,0.")
        newest = max((tmp_path / "run_0").glob("events*"), key=lambda path: path.stat().st_mtime)
        newest.open("ab").write(b"\x08\x00\x00\x00half")
    list(make(env, tmp_path))
    assert points(tmp_path / "run_0") == points(whole)
    assert table(tmp_path / "run_0") == table(whole)


def test_an_evaluation_that_was_broken_off_is_reported_once(env, whole, tmp_path):
    run = make(env, tmp_path)
    evaluate = run._runner.evaluate

    def stopped_at_the_second(policy, keys, stop):
        if run.iteration == 8:
            run.stop()
            raise loops.Stopped
        return evaluate(policy, keys, stop)

    run._runner.evaluate = stopped_at_the_second
    assert [report.iteration for report in run][-1] == 7
    assert run.iteration == 8
    assert run.reported_steps == 63
    for _ in range(2):  # the second finds points that the first has written already
        again = make(env, tmp_path)
        assert next(iter(again)).iteration == 8
        assert [step for tag, step, _ in points(again.folder()) if tag == "eval/return_mean"] == [32, 64]
    list(again)
    assert points(again.folder()) == points(whole)
    assert table(again.folder()) == table(whole)


def test_event_files_are_cut_behind_a_step(tmp_path):
    for first in (0, 3):  # two files, as of a run that was resumed
        writer = tf.summary.create_file_writer(str(tmp_path), filename_suffix=f".{first}")
        with writer.as_default():
            for step in range(first, first + 3):
                tf.summary.scalar("loss", step, step=step)
        writer.close()
    assert cut_back(tmp_path, 3)
    assert [step for _, step, _ in points(tmp_path)] == [0, 1, 2, 3]
    assert not cut_back(tmp_path, -1)
    assert points(tmp_path) == []


def test_a_table_grows_by_a_column_where_a_name_comes_up(tmp_path):
    (tmp_path / "run_0").mkdir()
    run = SimpleNamespace(
        config=SimpleNamespace(copies=1), folder=lambda copy: tmp_path / f"run_{copy}", reported_steps=0
    )
    table_writer = Table()
    table_writer.start(run)
    for step, metrics in ((1, {"loss": np.float32(0.5)}), (2, {}), (3, {"q_value": np.array(2.0)})):
        count = np.array(np.nan)
        table_writer.report(Report(1, step, metrics, EpisodeMeans(count, count, count), None, False, 8.0, True, 1.0))
    text = (tmp_path / "run_0" / "metrics.csv").read_text()
    assert text == "env_steps,train/loss,train/q_value\n1,0.5,\n2,,\n3,,2.0\n"


def test_a_table_that_is_none_is_not_written_over(tmp_path):
    (tmp_path / "metrics.csv").write_text("mine\n1\n")
    run = SimpleNamespace(config=SimpleNamespace(copies=1), folder=lambda copy: tmp_path, reported_steps=0)
    with pytest.raises(ValueError, match=r"metrics.csv begins with 'mine', expected a table with env_steps first"):
        Table().start(run)


def test_the_default_reporters_are_both(env, tmp_path):
    assert [type(reporter) for reporter in make(env, tmp_path).reporters] == [TensorBoard, Table]
