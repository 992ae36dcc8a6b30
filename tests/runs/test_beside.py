"""Checkpoints that are written while training goes on."""

import threading

import pytest

from rl_fn import envs
from rl_fn.runs import Run, RunError, checkpoint, files
from tests.runs import tiny
from tests.runs.stored import begun, restored, state


@pytest.fixture
def slow_disk(monkeypatch):
    """A disk that writes once it is allowed to."""
    allowed, sync = threading.Event(), files.sync_folder
    monkeypatch.setattr(files, "sync_folder", lambda folder: allowed.wait(60) and sync(folder))
    yield allowed
    allowed.set()


def test_who_saves_beside_does_not_wait_for_the_disk(tmp_path, slow_disk):
    slow_disk.set()
    storage = begun(tmp_path)
    with storage.locked():
        slow_disk.clear()
        storage.save_beside(40, [state(40)], {"due": None})
        storage.settle(patient=False)
        assert storage.saved == 30
        slow_disk.set()
        storage.settle()
        assert storage.saved == 40
    assert restored(tmp_path) == (40, [])


def test_the_folder_is_left_when_everything_is_written(tmp_path):
    storage = begun(tmp_path)
    with storage.locked():
        storage.save_beside(40, [state(40)], {"due": None})
        storage.save_beside(50, [state(50)], {"due": None})
    assert checkpoint.list_iterations(storage.checkpoints[0]) == [30, 40, 50]


def test_what_fails_beside_is_told_once_and_keeps_what_is_good(tmp_path):
    storage = begun(tmp_path)
    with storage.locked():
        storage.checkpoints[0].chmod(0o500)
        storage.checkpoints[0].rename(tmp_path / "gone")
        (tmp_path / "run_0" / "checkpoints").write_text("no folder")
        storage.save_beside(40, [state(40)], {"due": None})
        with pytest.raises(RunError, match=r"the checkpoint at 320 steps cannot be written .* the newest is at 240"):
            storage.settle()
        storage.settle()
        (tmp_path / "run_0" / "checkpoints").unlink()
        (tmp_path / "gone").rename(storage.checkpoints[0])
        storage.checkpoints[0].chmod(0o700)
    assert restored(tmp_path) == (30, [])


@pytest.mark.slow
def test_a_run_goes_on_while_its_checkpoint_is_written(tmp_path, slow_disk):
    slow_disk.set()
    run = Run(
        tiny.agent(), envs.make("Catch-bsuite"), tmp_path, train_steps=640, eval_episodes=0, checkpoint_seconds=1e-9
    )
    reports = iter(run)
    next(reports)
    run._storage.settle()
    slow_disk.clear()
    for _ in range(3):  # the checkpoint of the first waits for the disk, and the others for it
        if not run._storage._saving:
            next(reports)
    assert run._storage.saved < run.iteration
    slow_disk.set()
    list(reports)
    assert run._storage.saved == run.iteration == 80


@pytest.mark.parametrize(("given", "is_rare"), [({}, True), ({"checkpoint_seconds": 1e-9}, False)])
def test_checkpoints_become_rarer_where_the_disk_is_slow_unless_it_is_said_how_often(
    given, is_rare, tmp_path, monkeypatch
):
    saved, save = [], checkpoint.save_copies

    def counted(*args):
        saved.append(args)
        return save(*args)

    monkeypatch.setattr(checkpoint, "save_copies", counted)
    monkeypatch.setattr("rl_fn.runs.storage.CHECKPOINT_SECONDS", 0.0)
    monkeypatch.setattr("rl_fn.runs.pauses.SHARE", 1e-6)  # any disk is slow
    run = Run(tiny.agent(), envs.make("Catch-bsuite"), tmp_path, train_steps=640, eval_episodes=0, **given)
    for _ in run:
        run._storage.settle()
    assert len(saved) == (2 if is_rare else 80)  # the first and the last, or each
    assert any(note.startswith("checkpoints take over") for note in run.notes) == is_rare


def test_checkpoints_on_the_way_hold_the_state_as_it_was(tmp_path):
    settings = {"train_steps": 640, "eval_episodes": 0}
    whole = Run(tiny.agent(), envs.make("Catch-bsuite"), tmp_path / "whole", **settings)
    list(whole)
    run = Run(
        tiny.agent(), envs.make("Catch-bsuite"), tmp_path / "cut", checkpoint_seconds=1e-9, reporters=[], **settings
    )
    run.start()
    left = run._train()  # without a word, as by a process that was killed
    while next(left).iteration < 40:
        pass
    run._storage.settle()
    assert 0 < run._storage.saved <= 40
    again = Run(tiny.agent(), envs.make("Catch-bsuite"), tmp_path / "cut", **settings)
    list(again)
    assert again.summary["state_digest"] == whole.summary["state_digest"]
