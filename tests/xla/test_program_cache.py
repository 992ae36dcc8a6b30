"""The cache of compiled programs: what is damaged is deleted and told, and what cannot be used is done without."""

import os
import shutil
import time
from collections import namedtuple

import pytest

from rl_fn._src.xla import program_cache, startup


def entry(folder, name="program.pb", executable=b"machine code" * 100):
    """A file of the form that XLA writes: fields with a tag and a length."""
    folder.mkdir(parents=True, exist_ok=True)
    fields = [(1, b"key"), (2, b"module"), (3, executable)]
    path = folder / name
    path.write_bytes(b"".join(bytes([tag << 3 | 2]) + varint(len(body)) + body for tag, body in fields))
    return path


def varint(number):
    return bytes([number & 127 | 128, number >> 7]) if number > 127 else bytes([number])


def test_whole_programs_stay_and_nothing_is_said(tmp_path):
    path = entry(tmp_path / "new")
    assert program_cache.opened(tmp_path / "new") == (tmp_path / "new", "")
    assert program_cache.opened(tmp_path / "new") == (tmp_path / "new", "")
    assert path.exists()


@pytest.mark.parametrize("sealed", [False, True])
@pytest.mark.parametrize("damage", ["truncated", "emptied", "garbage", "a folder"])
def test_damaged_programs_are_deleted_and_told_once(damage, sealed, tmp_path):
    path, other = entry(tmp_path), entry(tmp_path, "other.pb")
    if sealed:
        program_cache.seal(tmp_path)
    content = path.read_bytes()
    path.unlink()
    if damage == "a folder":
        path.mkdir()
    else:
        path.write_bytes({"truncated": content[:-7], "emptied": b"", "garbage": b"\xff" + content[1:]}[damage])
    folder, sentence = program_cache.opened(tmp_path)
    assert folder == tmp_path
    assert f"{tmp_path} had 1 damaged files, which were deleted" in sentence
    assert not path.exists()
    assert other.exists()
    assert program_cache.opened(tmp_path) == (tmp_path, "")


def test_a_flipped_bit_is_found_in_a_program_that_was_seen_before(tmp_path):
    path = entry(tmp_path)
    program_cache.seal(tmp_path)
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    assert "had 1 damaged files" in program_cache.opened(tmp_path)[1]
    assert not path.exists()


def test_a_folder_that_cannot_be_used_is_done_without_and_named(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("no folder")
    folder, sentence = program_cache.opened(tmp_path / "file" / "cache")
    assert folder is None
    assert f"trains without the cache of compiled programs {tmp_path}/file/cache: Not a directory" in sentence
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(10**9, 10**9 - 1000, 1000))
    folder, sentence = program_cache.opened(tmp_path / "full")
    assert (folder, sentence.partition(": ")[2]) == (None, "its disk is full")


def test_nobody_has_no_home(monkeypatch, caplog):
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.delenv("HOME", raising=False)
    monkeypatch.setattr("os.getuid", lambda: 54_321)
    assert startup.cache_folder() is None
    assert "trains without the cache of compiled programs: there is no home folder" in caplog.text


def test_folders_that_nobody_has_opened_for_a_month_are_deleted(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    mine = startup.cache_folder()
    old, new, foreign = (mine.with_name(name) for name in ("tensorflow-2.0-old", "tensorflow-2.0-new", "notes"))
    paths = [entry(folder) for folder in (mine, old, new, foreign)]
    for folder, days in ((mine, 32), (old, 32), (new, 28), (foreign, 32)):
        ago = time.time() - days * 86_400
        os.utime(folder, (ago, ago))
    assert startup.cache_folder() == mine
    assert [path.exists() for path in paths] == [True, False, True, True]
    assert not old.exists()


def test_other_flags_of_xla_and_other_numbers_of_cores_have_a_folder_of_their_own(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv("XLA_FLAGS", raising=False)
    monkeypatch.delenv("TF_XLA_FLAGS", raising=False)
    plain = startup.cache_folder()
    monkeypatch.setenv("TF_XLA_FLAGS", f"--tf_xla_persistent_cache_directory={plain}")
    assert startup.cache_folder() == plain
    monkeypatch.setenv("XLA_FLAGS", "--xla_backend_optimization_level=0")
    brief = startup.cache_folder()
    monkeypatch.setenv("TF_XLA_FLAGS", "--tf_xla_min_cluster_size=2")
    other = startup.cache_folder()
    monkeypatch.setattr(startup, "usable_cores", lambda: 999)
    assert len({plain, brief, other, startup.cache_folder()}) == 4
