"""Kills and failing disks: the checkpoint before is whole, and what failed is one sentence."""

import contextlib
import errno
import io
import itertools
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path

import pytest

from rl_fn.runs import RunError, checkpoint, files
from tests.runs.stored import LIKE, begun, make, restored, save, sentence, state

KILLS = int(os.environ.get("RL_FN_KILLS", "1"))  # of processes, which take a moment to start


def test_a_kill_between_the_copies_loses_nothing(tmp_path):
    """Before the first appears nothing has happened; after it, all are on the disk."""
    storage = save(make(tmp_path / "run", 3), 10, 20)
    paths = [checkpoint.path_of(one, 20) for one in storage.checkpoints]
    for appeared in range(1, 4):
        shutil.copytree(tmp_path / "run", tmp_path / str(appeared))
        for path in paths[appeared:]:
            path = tmp_path / str(appeared) / path.relative_to(tmp_path / "run")
            path.rename(files.unfinished_of(path))
        assert restored(tmp_path / str(appeared), 3) == (20, [])
    for path in paths:
        path.rename(files.unfinished_of(path))
    paths[2].write_bytes(b"half")
    paths[2].replace(files.unfinished_of(paths[2]))
    assert restored(tmp_path / "run", 3) == (10, [])
    assert not list(tmp_path.rglob("*.unfinished"))


def test_a_write_that_is_killed_at_any_byte_leaves_the_one_before(memory):
    storage = begun(memory)
    whole = checkpoint.path_of(storage.checkpoints[0], 30).read_bytes()
    unfinished = files.unfinished_of(checkpoint.path_of(storage.checkpoints[0], 40))
    for position in random.Random(0).sample(range(len(whole)), 100):
        unfinished.write_bytes(whole[:position])
        assert restored(memory) == (30, [])
        assert not unfinished.exists()


WRITER = """
import pathlib, sys
from tests.runs.stored import make, save
storage = make(pathlib.Path(sys.argv[1]))
print(flush=True)
save(storage, *range(1, 1_000_000))
"""


def test_a_process_that_is_killed_while_it_writes_leaves_a_whole_one(tmp_path):
    command = [sys.executable, "-c", WRITER, str(tmp_path)]
    for kill in range(KILLS):
        process = subprocess.Popen(command, stdout=subprocess.PIPE, cwd=Path(__file__).parents[2])
        process.stdout.readline()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=0.3 + random.Random(kill).random() / 10)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        assert process.returncode == -signal.SIGKILL
        iteration, notes = restored(tmp_path)
        assert (iteration > 0, notes) == (True, [])
        shutil.rmtree(tmp_path / "run_0")


@pytest.fixture
def memory():
    """A folder where waiting for the disk takes no time, as far as the machine has one."""
    shared = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=shared if shared.is_dir() else None) as folder:
        yield Path(folder)


class Faults:
    """Lets one of the calls that change files fail."""

    CALLS = ((io, "open"), (os, "open"), (os, "fsync"), (os, "replace"), (os, "mkdir"), (os, "unlink"))

    def __init__(self, monkeypatch, at, fail):
        self.count, self._at, self._fail = 0, at, fail
        for module, name in self.CALLS:
            monkeypatch.setattr(module, name, self._failing(getattr(module, name)))

    def _failing(self, call):
        def fail(*args, **kwargs):
            self.count += 1
            if self.count == self._at:
                self._fail()
            return call(*args, **kwargs)

        return fail


def failing(number):
    def fail():
        raise OSError(number, os.strerror(number))

    return fail


def go_on(output_dir):
    """All that a run of two copies writes, from its start to its end."""
    storage = make(output_dir, 2)
    with storage.locked():
        storage.restore([LIKE, LIKE], lambda _: None)
        storage.prepare()
        storage.save(40, [state(80), state(81)], {"due": None})
        storage.summarize([{"seed": 0}, {"seed": 1}])


@pytest.mark.parametrize("saved", [0, 30])
def test_each_call_that_fails_is_one_sentence_and_loses_nothing(saved, memory):
    for at in itertools.count(1):
        output_dir, number = memory / str(at), (errno.ENOSPC, errno.EACCES, errno.EROFS)[at % 3]
        if saved:
            begun(output_dir, 2)
        with pytest.MonkeyPatch.context() as monkeypatch:
            faults = Faults(monkeypatch, at, failing(number))
            told = sentence(go_on, output_dir)
        assert os.strerror(number) in told or restored(output_dir, 2)[0] == 40
        assert restored(output_dir, 2)[0] in (saved, 40)
        assert not list(output_dir.rglob("*.unfinished"))
        if faults.count < at:
            break
    assert at > 30


@pytest.mark.parametrize("lost", [".", "run_1/checkpoints"])
def test_a_folder_that_vanishes_at_any_call_is_told_and_the_state_is_saved(lost, memory):
    for at in itertools.count(1):
        path, told = memory / str(at) / lost, ""
        storage = begun(memory / str(at), 2)
        with storage.locked(), pytest.MonkeyPatch.context() as monkeypatch:
            faults = Faults(monkeypatch, at, partial(shutil.rmtree, path))
            for iteration in (40, 50):
                states = [state(2 * iteration), state(2 * iteration + 1)]
                told += sentence(storage.save, iteration, states, {"due": None})
            if storage.lost():  # in the last moment: the next report sees it
                told += sentence(storage.save, iteration, states, {"due": None})
        assert (f"{path} was deleted while the run went on" in told) == (faults.count >= at)
        assert restored(memory / str(at), 2) == (50, [])
        if faults.count < at:
            break
    assert at > 10


@pytest.mark.parametrize("limit", [0, 1, 100, 1000, 1500])
def test_a_full_disk_at_any_byte_keeps_what_is_good(limit, tmp_path):
    storage = begun(tmp_path)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    with storage.locked():
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
        try:
            with pytest.raises(
                RunError, match=r"at 320 steps cannot be written to .*: File too large; .* at 240 steps"
            ):
                storage.save(40, [state(40)], {"due": None})
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        assert checkpoint.list_iterations(storage.checkpoints[0]) == [10, 20, 30]
        assert len(list(storage.checkpoints[0].iterdir())) == 3
        storage.save(40, [state(40)], {"due": None})
    assert restored(tmp_path) == (40, [])


def test_a_checkpoint_is_on_the_disk_before_it_appears_and_its_name_before_others_go(tmp_path, monkeypatch):
    storage, told = begun(tmp_path), []

    def telling(name):
        call = getattr(os, name)

        def tell(target, *args, **kwargs):
            path = os.readlink(f"/proc/self/fd/{target}") if isinstance(target, int) else str(target)
            told.append((name, os.path.basename(path)))
            return call(target, *args, **kwargs)

        return tell

    with storage.locked():
        for name in ("fsync", "replace", "unlink"):
            monkeypatch.setattr(os, name, telling(name))
        storage.save(40, [state(40)], {"due": None})
        monkeypatch.undo()
    assert told == [
        ("fsync", ".iteration_000000000040.npz.unfinished"),
        ("fsync", "checkpoints"),
        ("replace", ".iteration_000000000040.npz.unfinished"),
        ("fsync", "checkpoints"),
        ("unlink", "iteration_000000000010.npz"),
    ]
