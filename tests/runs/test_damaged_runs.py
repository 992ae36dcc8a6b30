"""A folder in which any file is damaged is refused in one sentence, or as good as before, whoever reads it."""

import os
import shutil

import pytest
import tensorflow as tf

from rl_fn import envs, random
from rl_fn.media import curves
from rl_fn.runs import Run, checkpoint, load, telling
from tests.runs import tiny
from tests.runs.stored import sentence


def folder(path):
    path.unlink()
    path.mkdir()


def pipe(path):
    path.unlink()
    os.mkfifo(path)


def loop(path):
    path.unlink()
    path.symlink_to(path)


DAMAGE = {
    "gone": lambda path: path.unlink(),
    "empty": lambda path: path.write_bytes(b""),
    "half": lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2]),
    "noise": lambda path: path.write_bytes(bytes(range(256)) * 20),
    "a bit": lambda path: path.write_bytes(bytes([path.read_bytes()[0] ^ 1]) + path.read_bytes()[1:]),
    "text": lambda path: path.write_text("[[null]]"),
    "a folder": folder,
    "a pipe": pipe,
    "a loop": loop,
}
FILES = ["config.json", "checkpoints/iteration_000000000002.npz", "events.out.tfevents.1", "metrics.csv"]


@pytest.fixture(scope="module")
def env():
    return envs.make("Catch-bsuite")


def make(env, output_dir):
    return Run(tiny.agent(), env, output_dir, train_steps=64, eval_episodes=0)


@pytest.fixture(scope="module")
def begun(env, tmp_path_factory):
    """What a run leaves, two checkpoints and a curve, without its training."""
    run = make(env, tmp_path_factory.mktemp("begun"))
    run.start()
    state = run._runner.init(random.key(0))
    with run._storage.locked():
        for iteration in (1, 2):
            run._storage.save(iteration, [state], {"progress": {}, "due": None})
    (run.folder() / "metrics.csv").write_text("env_steps,eval/return_mean\n8,1.0\n")
    writer = tf.summary.create_file_writer(str(run.folder()))
    with writer.as_default(step=8):
        tf.summary.scalar("eval/return_mean", 1.0)
    writer.close()
    [events] = run.folder().glob("events*")
    events.rename(run.folder() / "events.out.tfevents.1")
    return run.config.output_dir


def told(env, output_dir):
    """What those say who read a run: a run that goes on, `load` for `rl-fn play`, and `rl-fn plot`."""

    def start():
        run = make(env, output_dir)
        run.start()
        for reporter in run.reporters:
            telling.tell(run, reporter, "start", run)
            telling.tell(run, reporter, "close")

    return {
        "play": sentence(lambda: load(output_dir, agent=tiny.agent(), env=env)),
        "plot": sentence(lambda: curves.read([output_dir])),
        "train": sentence(start),
    }


def test_a_whole_one_is_read(begun, env, tmp_path):
    shutil.copytree(begun, tmp_path / "run")
    assert told(env, tmp_path / "run") == {"play": "", "plot": "", "train": ""}
    assert load(begun, agent=tiny.agent(), env=env).env_steps == 16
    assert curves.read([begun])[0].values.tolist() == [[1.0]]


@pytest.mark.parametrize("file", FILES)
def test_any_file_may_be_damaged(file, begun, env, tmp_path):
    for name, damage in DAMAGE.items():
        output_dir = tmp_path / name
        shutil.copytree(begun, output_dir)
        path = output_dir / "run_0" / file
        damage(path)
        sentences = told(env, output_dir)
        assert not [line for line in sentences.values() if line.startswith("several lines")]
        if file == "config.json":
            assert all(sentences.values()), (name, sentences)
            assert os.path.lexists(path) == (name != "gone")
        if file.startswith("checkpoints"):
            assert not any(sentences.values()), (name, sentences)
            assert load(output_dir, agent=tiny.agent(), env=env).env_steps == 8
        if file.startswith("events"):
            assert sentences["play"] == sentences["plot"] == ""
        if file == "metrics.csv":
            assert sentences["play"] == ""
            assert str(output_dir) in sentences["plot"]


def test_a_checkpoint_that_was_passed_over_is_told_by_who_plays(begun, env, tmp_path):
    shutil.copytree(begun, tmp_path / "run")
    path = checkpoint.path_of(tmp_path / "run" / "run_0" / "checkpoints", 2)
    path.write_bytes(b"")
    loaded = load(tmp_path / "run", agent=tiny.agent(), env=env)
    assert loaded.notes == (f"passed over: checkpoint {path} is damaged: File is not a zip file",)
    assert path.exists()  # who only reads changes nothing
