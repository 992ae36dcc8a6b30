"""Who is told of a run may be slow, away or not installed."""

import json
import sys
import threading
import time

import pytest

from rl_fn import envs
from rl_fn.commands import main
from rl_fn.runs import Run, RunConfig
from rl_fn.runs.reporters import Tracker
from rl_fn.runs.reporters.outbox import Outbox, Record
from tests.runs import tiny

STEPS = 640  # in 80 iterations


class Listener(Tracker):
    """Keeps what it is told, unless it is away."""

    package = "json"

    def __init__(self, name="listener"):
        super().__init__()
        self.name, self.steps, self.ends, self.files = name, [], [], []
        self.is_away, self.is_back = False, threading.Event()

    def receiver(self, run):
        return self.name

    def open(self, run, name):
        self.run_name = name

    def send(self, records):
        if self.is_away:
            raise ConnectionError("nobody answers")
        self.steps += [record.env_steps for record in records]

    def end(self, artifacts, is_finished):
        if self.is_away:
            raise ConnectionError("nobody answers")
        self.ends.append(is_finished)
        self.files = [artifact.name for artifact in artifacts if artifact.copy is not None]


def make(folder, listener, **settings):
    given = {"train_steps": STEPS, "eval_episodes": 0, "checkpoint_seconds": 3600.0, **settings}
    return Run(tiny.agent(), envs.make("Catch-bsuite"), folder, reporters=[listener], **given)


@pytest.fixture(scope="module")
def steps(tmp_path_factory):
    """The steps of all reports of a run that nobody disturbs."""
    return [report.env_steps for report in make(tmp_path_factory.mktemp("steps"), Listener())]


def test_everything_is_told_once_and_in_order(tmp_path, steps):
    listener = Listener()
    list(make(tmp_path, listener))
    assert listener.steps == steps
    assert listener.ends == [True]
    assert listener.files == ["config.json"]


def test_nothing_is_told_twice_where_a_run_goes_on_from_an_older_checkpoint(tmp_path, steps):
    first = Listener()
    for report in make(tmp_path, first, checkpoint_seconds=0.0):
        if report.env_steps >= STEPS // 2:
            break
    assert first.ends == [False]
    newest = max((tmp_path / "run_0" / "checkpoints").glob("iteration_*"))
    newest.unlink()
    second = Listener()
    list(make(tmp_path, second))
    assert first.steps + second.steps == steps
    assert second.run_name == first.run_name


def test_who_is_away_costs_a_run_a_sentence_and_misses_nothing(tmp_path, steps):
    listener = Listener()
    listener.is_away = True
    run = make(tmp_path, listener)
    begin = time.monotonic()
    list(run)
    assert time.monotonic() - begin < 20
    assert run.summary["env_steps"] == STEPS
    (told,) = run.notes
    assert "listener cannot be told (nobody answers)" in told
    assert str(tmp_path / "run_0" / "json.jsonl") in told
    back = Listener()
    again = make(tmp_path, back)
    assert list(again) == []
    assert (back.steps, back.ends) == (steps, [True])
    list(make(tmp_path, silent := Listener()))
    assert (silent.steps, silent.ends) == ([], [])  # has everything


def test_who_comes_back_during_a_run_is_told_at_once(tmp_path, steps):
    listener = Listener()
    listener.is_away = True
    for report in make(tmp_path, listener):
        if report.env_steps >= STEPS // 2:
            listener.is_away = False
    assert listener.steps == steps


def test_another_receiver_gets_all_of_it(tmp_path, steps):
    list(make(tmp_path, Listener()))
    list(make(tmp_path, other := Listener("other")))
    assert (other.steps, other.ends) == (steps, [True])


def test_a_line_that_a_killed_process_has_left_torn_is_cut_off(tmp_path):
    outbox = Outbox(tmp_path / "box.jsonl", "one")
    outbox.put(Record(1, 0.0, [{"loss": float("nan")}]))
    with (tmp_path / "box.jsonl").open("a") as file:
        file.write('[2, 0.0, [{"lo')
    again = Outbox(tmp_path / "box.jsonl", "one")
    assert again.id == outbox.id
    assert [record.env_steps for record in again.waiting] == [1]
    again.put(Record(2, 0.0, [{"loss": 1.0}]))
    assert [json.loads(line)[0] for line in (tmp_path / "box.jsonl").read_text().splitlines()] == [1, 2]


def test_what_a_run_that_goes_on_says_first_of_steps_that_it_repeats_is_told(tmp_path):
    Outbox(tmp_path / "box.jsonl", "one").put(Record(1, 0.0, [{"loss": 1.0}, {"loss": 2.0}]))
    Outbox(tmp_path / "box.jsonl", "one").put(Record(2, 0.0, [{"loss": 3.0}, {"loss": 4.0}]))
    again = Outbox(tmp_path / "box.jsonl", "one")
    for _ in range(2):
        again.put(Record(1, 9.0, [{"loss": 1.0, "return": 5.0}, {"loss": 2.0, "return": 6.0}]))
        again.put(Record(2, 9.0, [{"loss": 3.0}, {"loss": 4.0}]))
    assert again.records[2:] == [Record(1, 9.0, [{"return": 5.0}, {"return": 6.0}])]


def test_means_are_over_the_copies_that_have_something_to_say():
    record = Record(1, 0.0, [{"a": 1.0, "b": 5.0}, {"a": 3.0}, {"a": float("nan")}])
    assert record.means() == {"a": 2.0, "b": 5.0}


@pytest.mark.parametrize("track", ["mlflow", "wandb"])
def test_a_package_that_is_not_installed_is_named_with_its_extra(track, tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, track, None)  # as where it is not installed
    output_dir = tmp_path / "out"
    with pytest.raises(SystemExit) as ended:
        main(["train", "--hparams", "ppo_cartpole", "--output_dir", str(output_dir), "--track", track])
    assert ended.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line == f'rl-fn: error: {track} is not installed: pip install "rl-fn[{track}]"'
    assert not output_dir.exists()


@pytest.mark.parametrize(
    ("settings", "match"),
    [
        ({"track_uri": "http://127.0.0.1:1"}, "track_uri is 'http://127.0.0.1:1', which belongs to track mlflow"),
        ({"track": "tensorboard"}, "track is 'tensorboard', expected one of none, mlflow, wandb"),
    ],
)
def test_what_cannot_be_is_refused(settings, match, tmp_path):
    with pytest.raises(ValueError, match=match):
        Run.from_config(RunConfig("ppo_cartpole", tmp_path / "out", **settings))
