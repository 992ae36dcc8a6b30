"""What is damaged, missing or another run's in the folder of a run is not taken for its own, and not destroyed."""

import errno
import io
import os
import shutil
import subprocess
import sys
import zipfile

import numpy as np
import pytest

from rl_fn.runs import RunConfig, RunError, checkpoint, folder
from rl_fn.runs.lock import Lock
from tests.runs.stored import LIKE, begun, make, restored, save, state


def archive(path, compression=zipfile.ZIP_STORED, **members):
    with zipfile.ZipFile(path, "w", compression) as written:
        for name, content in members.items():
            written.writestr(f"{name}.npy", content)


def npy(array):
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def header(shape):
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(file, {"descr": "<f4", "fortran_order": False, "shape": shape})
    return file.getvalue()


def turned(content):
    return content[:700] + bytes([content[700] ^ 4]) + content[701:]


def in_place_of(path, make_it):
    path.unlink()
    make_it(path)


DAMAGE = {
    "truncated": (lambda path: path.write_bytes(path.read_bytes()[:-300]), "is damaged: File is not a zip file"),
    "a bit": (lambda path: path.write_bytes(turned(path.read_bytes())), "is damaged: "),
    "empty": (lambda path: path.write_bytes(b""), "is damaged: File is not a zip file"),
    "a folder": (lambda path: in_place_of(path, lambda path: path.mkdir()), "cannot be read: it is no file"),
    "a pipe": (lambda path: in_place_of(path, os.mkfifo), "cannot be read: it is no file"),
    "a device": (lambda path: in_place_of(path, lambda path: path.symlink_to("/dev/zero")), "it is no file"),
    "a link to nowhere": (
        lambda path: in_place_of(path, lambda path: path.symlink_to("nowhere")),
        "cannot be read: No",
    ),
    "renamed": (
        lambda path: shutil.copy(checkpoint.path_of(path.parent, 10), path),
        "is that of iteration 10 under another name",
    ),
    "an array": (lambda path: path.write_bytes(npy(np.zeros(9))), "is damaged: File is not a zip file"),
    "an object": (
        lambda path: archive(path, w=npy(np.array([{}], object)), __digest__=npy(np.zeros(64, np.uint8))),
        "is damaged: w.npy has another format",
    ),
    "4 TiB": (
        lambda path: archive(path, w=header((2**40,)), __digest__=b""),
        r"says that it is float32 \(109951162777",
    ),
    "a bomb": (
        lambda path: archive(path, zipfile.ZIP_DEFLATED, w=header((2**25,)) + bytes(2**27), __digest__=b""),
        "is damaged: w.npy is compressed",
    ),
    "no digest": (lambda path: np.savez(path.open("wb"), **{"params/w": np.zeros([3, 2])}), "it has no digest"),
    "another agent": (
        lambda path: checkpoint.save(path.parent, 30, {"v": np.zeros(3)}, {}),
        r"does not fit: the checkpoint's state is another than this agent's: they differ in \['flags/0'",
    ),
    "another run": (
        lambda path: checkpoint.save(path.parent, 30, LIKE, {"due": None, "run": {"seed": 7}}),
        "is of another run: .*seed was 7 and is now 0",
    ),
    "no metadata": (lambda path: checkpoint.save(path.parent, 30, LIKE, {}), "is of another run: env was None and is"),
    "less metadata": (
        lambda path: checkpoint.save(path.parent, 30, LIKE, {"run": checkpoint.load(path).metadata["run"]}),
        "cannot be used: KeyError 'due'",
    ),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_what_is_damaged_is_passed_over_and_told(damage, tmp_path):
    spoil, why = DAMAGE[damage]
    storage = begun(tmp_path)
    spoil(checkpoint.path_of(storage.checkpoints[0], 30))
    iteration, [note] = restored(tmp_path)
    assert iteration == 20
    assert note.startswith(f"passed over: checkpoint {storage.checkpoints[0]}/iteration_000000000030.npz")
    with pytest.raises(ValueError, match=why):
        raise ValueError(note)
    assert "\n" not in note
    assert restored(tmp_path) == (20, [])  # it is out of the way, and not deleted
    assert (storage.checkpoints[0] / "iteration_000000000030.npz.passed_over_1").exists() or damage.endswith("nowhere")
    storage = make(tmp_path)
    with storage.locked():
        storage.restore([LIKE], lambda _: None)
        storage.save(30, [state(30)], {"due": None})
    assert restored(tmp_path) == (30, [])


def test_where_none_is_good_the_run_is_refused_and_nothing_is_touched(tmp_path):
    storage = begun(tmp_path)
    for path in storage.checkpoints[0].iterdir():
        path.write_bytes(b"nothing")
    with pytest.raises(ValueError, match=r"no checkpoint can be used: .*030.npz is damaged.*; .*020.npz is damaged.*"):
        restored(tmp_path)
    assert checkpoint.list_iterations(storage.checkpoints[0]) == [10, 20, 30]


def test_copies_go_on_from_the_newest_that_all_have_good(tmp_path):
    storage = begun(tmp_path, copies=3)
    one, two, three = storage.checkpoints
    checkpoint.path_of(three, 30).unlink()
    first, second = checkpoint.path_of(one, 20), checkpoint.path_of(two, 20)
    content = first.read_bytes()
    first.write_bytes(second.read_bytes())  # swapped
    second.write_bytes(content)
    iteration, notes = restored(tmp_path, copies=3)
    assert iteration == 10
    assert (
        notes[0] == f"passed over: checkpoint {checkpoint.path_of(three, 30)} cannot be read: No such file or directory"
    )
    assert "020.npz is of another run: copy was 1 and is now 0" in notes[1]


@pytest.mark.parametrize("lost", ["run_1/checkpoints", "run_1"])
def test_a_copy_that_has_nothing_left_is_named_and_the_others_are_kept(lost, tmp_path):
    storage = begun(tmp_path, copies=3)
    shutil.rmtree(tmp_path / lost)
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(
        ValueError, match=r"there are checkpoints in .*run_0/checkpoints and none in .*run_1/checkpoints"
    ):
        restored(tmp_path, copies=3)
    assert sorted(tmp_path.rglob("*")) == before
    assert checkpoint.list_iterations(storage.checkpoints[2]) == [10, 20, 30]


@pytest.mark.parametrize("kept", ["checkpoints", "summary.json", "events.out.tfevents.1", "metrics.csv"])
def test_results_of_unknown_settings_are_refused(kept, tmp_path):
    begun(tmp_path)
    for name in ("summary.json", "events.out.tfevents.1", "metrics.csv"):
        (tmp_path / "run_0" / name).touch()
    for path in (tmp_path / "run_0").iterdir():
        if path.name != kept:
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    with pytest.raises(ValueError, match=r"run_0 holds results of unknown settings: there is no config.json in it"):
        make(tmp_path, seed=3)
    assert [path.name for path in (tmp_path / "run_0").iterdir()] == [kept]


def test_a_run_has_begun_when_it_has_come_to_something(tmp_path):
    storage = make(tmp_path)
    with storage.locked():
        storage.prepare()
    (tmp_path / ".lock").write_text("1")  # as a killed process leaves it
    (tmp_path / "run_0" / "checkpoints" / ".iteration_000000000001.npz.unfinished").touch()
    (tmp_path / "run_0" / ".DS_Store").touch()
    assert not folder.has_begun(tmp_path / "run_0")
    save(make(tmp_path, seed=5), 10)
    assert folder.has_begun(tmp_path / "run_0")
    assert RunConfig.read(tmp_path).seed == 5
    assert not list(tmp_path.rglob("*.unfinished"))


@pytest.mark.parametrize("lost", [".", "run_1", "run_0/checkpoints", "run_0/config.json", "run_1/metrics.csv"])
def test_what_is_deleted_meanwhile_is_told_and_what_is_known_is_saved(lost, tmp_path):
    storage = make(tmp_path / "run", 2)
    path = tmp_path / "run" / lost
    with storage.locked():
        storage.prepare()
        (tmp_path / "run" / "run_1" / "metrics.csv").touch()
        assert storage.lost() is None
        storage.save(10, [state(20), state(21)], {"due": None})
        shutil.rmtree(path) if path.is_dir() else path.unlink()
        assert storage.lost() == path
        with pytest.raises(
            RunError, match=rf"{path} was deleted while the run went on: the state at 160 steps is saved"
        ):
            storage.save(20, [state(40), state(41)], {"due": None})
        assert storage.lost() is None
        with pytest.raises(ValueError, match=r"is in use by process"):
            restored(tmp_path / "run", 2)
    assert restored(tmp_path / "run", 2) == (20, [])
    assert RunConfig.read(tmp_path / "run" / "run_1").env == "CartPole-v1"


def test_another_run_in_the_place_of_a_deleted_one_is_left_alone(tmp_path):
    storage = begun(tmp_path / "run")
    with storage.locked():
        shutil.rmtree(tmp_path / "run")
        other = make(tmp_path / "run", seed=9)
        with other.locked():
            other.prepare()
            with pytest.raises(RunError, match=f"was deleted while the run went on, and .* by process {os.getpid()}"):
                storage.save(40, [state(40)], {"due": None})
    assert RunConfig.read(tmp_path / "run").seed == 9
    assert not folder.has_begun(tmp_path / "run" / "run_0")


def test_a_second_run_is_refused_with_the_process_of_the_first(tmp_path):
    code = (
        "import sys, rl_fn.runs.lock as lock, pathlib\nlock.Lock(pathlib.Path(sys.argv[1]))\nprint(flush=True)\ninput()"
    )
    process = subprocess.Popen([sys.executable, "-c", code, tmp_path], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    process.stdout.readline()
    try:
        with pytest.raises(ValueError, match=f"{tmp_path} is in use by process {process.pid}: one run at a time"):
            Lock(tmp_path)
    finally:
        process.kill()
        process.communicate()
    assert (tmp_path / ".lock").exists()
    lock = Lock(tmp_path)  # what a killed process leaves is no obstacle
    with pytest.raises(ValueError, match=f"is in use by process {os.getpid()}"):
        Lock(tmp_path)
    lock.release()
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("content", [b"", b"\xff" * 400, b"12 a\nb", b"x" * 10**6])
def test_whatever_a_lock_says_it_is_respected(content, tmp_path):
    lock = Lock(tmp_path)
    lock.path.write_bytes(content)
    with pytest.raises(ValueError, match=r"is in use by (another process|process 12).*: one run at a time"):
        Lock(tmp_path)
    lock.release()


def test_where_nothing_can_be_locked_it_is_said(tmp_path, monkeypatch):
    def unsupported(*_):
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    monkeypatch.setattr("fcntl.flock", unsupported)
    storage = begun(tmp_path)
    [note] = storage.notes
    assert note == f"{tmp_path} cannot be locked (No locks available): see that no second run writes to it"


def test_a_run_that_another_has_gone_on_with_does_not_come_back(tmp_path):
    first = save(make(tmp_path), 10)
    second = make(tmp_path)
    with second.locked():
        second.restore([LIKE], lambda _: None)
        second.save(20, [state(20)], {"due": None})
    with pytest.raises(RunError, match=r"another run has gone on in .* since this one left it"), first.locked():
        pass
