"""Files that nobody wrote: refused in one sentence, or right, and never more memory than they have bytes, and some.

The cases are few here; RL_FN_CASES=20000 in the environment makes them as many.
"""

import json
import os
import random
import resource
from pathlib import Path

import pytest

from rl_fn.runs import RunConfig, checkpoint, files
from rl_fn.runs.summary import check_summary
from tests.runs.stored import LIKE, begun, make, sentence, state

CASES = int(os.environ.get("RL_FN_CASES", "400"))
MEMORY = 2**30  # bytes


def mutations(content, count, seed=0):
    """Files like one, with bytes turned, cut out, doubled, or filled in."""
    draw = random.Random(seed)
    for _ in range(count):
        changed = bytearray(content)
        for _ in range(draw.choice([1, 1, 2, 10])):
            at, size = draw.randrange(len(changed) + 1), draw.choice([1, 1, 4, 30, 300])
            match draw.randrange(5):
                case 0:
                    changed[at : at + size] = draw.randbytes(size)
                case 1:
                    del changed[at : at + size]
                case 2:
                    changed[at:at] = changed[max(0, at - size) : at]
                case 3:
                    changed[at : at + size] = draw.choice([b"\0", b"\xff", b"9", b"[", b"(", b"-"]) * size
                case 4 if changed:
                    changed[at % len(changed)] ^= 1 << draw.randrange(8)
        yield bytes(changed)


@pytest.fixture
def little_memory():
    """Whoever takes more gets a MemoryError."""
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY, hard))
    yield
    resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


@pytest.mark.usefixtures("little_memory")
def test_fuzzed_checkpoints_are_refused_or_right(tmp_path):
    path = checkpoint.save(tmp_path, 7, state(7), {"seconds": 1.5})
    content, digest = path.read_bytes(), checkpoint.digest(state(7))
    told = []
    for changed in mutations(content, CASES):
        path.write_bytes(changed)
        for like in (LIKE, None):
            told.append(sentence(assert_loaded, path, like, digest))
    assert sum(map(bool, told)) > CASES
    assert max(map(len, told)) < 600
    assert not [line for line in told if line.startswith("several lines")]


def assert_loaded(path, like, digest):
    loaded = checkpoint.load(path, like)
    assert loaded.metadata == {"seconds": 1.5}
    assert checkpoint.digest(checkpoint.restore(loaded, LIKE)) == digest


JSON = [b"", b"[]", b"null", b'"x"', b"3", b"\x00\xff", b"[" * 900 + b"]" * 900, b'{"a":' * 40 + b"1" + b"}" * 40]


@pytest.mark.usefixtures("little_memory")
def test_fuzzed_json_is_refused_or_right(tmp_path):
    """All that reads config.json and summary.json."""
    storage = begun(tmp_path)
    summary = {"seed": 0, "env_steps": 80, "env_steps_per_second": 1.5, "train_seconds": 2.0, "eval_episodes": 0}
    described, summarized = tmp_path / "run_0" / "config.json", tmp_path / "run_0" / "summary.json"
    good = described.read_bytes()
    named = {"hparams": "ppo_cartpole", "output_dir": "x", "hparam_override": {"hidden_sizes": [16]}, "imports": []}
    wrong = [json.dumps({**json.loads(good), name: value}).encode() for name in json.loads(good) for value in WRONG]
    wrong += [json.dumps({**named, name: value}).encode() for name in named for value in WRONG]
    told = []
    for changed in [*JSON, *wrong, *mutations(good, CASES // 4), *mutations(json.dumps(named).encode(), CASES // 4)]:
        described.write_bytes(changed)
        told += [sentence(make, tmp_path), sentence(RunConfig.read, tmp_path)]
    for changed in [*JSON, *mutations(json.dumps(summary).encode(), CASES // 2)]:
        summarized.write_bytes(changed)
        told.append(sentence(say, storage))
    assert sum(map(bool, told)) > len(told) // 2
    assert not [line for line in told if line.startswith("several lines")]


def say(storage):
    """As the command does."""
    for read in storage.summaries(lambda content, copy: check_summary(content, seed=copy, env_steps=80), 80) or []:
        print(f"{read['env_steps']:,} {read['env_steps_per_second']:,.0f}")


WRONG = [None, True, -1, 1.5, 10**400, "", "x", "\0", "\ud800", [], [[]], [1, "a"], {}, {"a": [{}]}, {"num_envs": []}]


@pytest.mark.parametrize("content", [b"\x00", b" " * (2**24 + 1)])
def test_json_has_a_size_and_is_a_file(content, tmp_path):
    path = tmp_path / "config.json"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"config\.json cannot be read: "):
        files.read_json(path)
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(ValueError, match=r"config\.json cannot be read: it is no file"):
        files.read_json(path)


def test_a_folder_that_only_some_libraries_can_write_to_is_refused(tmp_path):
    for name in (os.fsdecode(b"runs\xff"), "a\0b"):
        with pytest.raises(ValueError, match=r"output_dir is .*, expected a folder, with a name in UTF-8"):
            make(tmp_path / name)
