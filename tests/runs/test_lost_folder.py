"""A run whose folder vanishes or fills up says so, saves what it can, and goes on when it is started again."""

import resource
import shutil

import pytest

from rl_fn import envs
from rl_fn.runs import ReporterError, Run, RunConfig, RunError, checkpoint
from rl_fn.runs.config import FILE
from tests.runs import tiny


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run without end."""
    folder = tmp_path_factory.mktemp("run") / "run"
    env = envs.make("Catch-bsuite")
    run = Run(tiny.agent(), env, folder, train_steps=10**9, eval_episodes=0, checkpoint_seconds=0.0)
    assert next(iter(run)).iteration == 1
    return run


def assert_saved(run):
    assert checkpoint.list_iterations(run.folder() / "checkpoints")[-1] == run.iteration
    assert RunConfig.read(run.config.output_dir) == run.config
    assert not list(run.config.output_dir.rglob("*.unfinished"))


@pytest.mark.parametrize("lost", ["", "/run_0", "/run_0/checkpoints", "/run_0/config.json", "/run_0/events*"])
def test_what_is_deleted_is_told_with_the_next_report(run, lost):
    reports = iter(run)
    iteration = next(reports).iteration
    *_, path = sorted(run.config.output_dir.parent.glob(f"run{lost}"))
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    with pytest.raises(RunError, match=rf"^{path} was deleted while the run went on: the state at .* is saved again"):
        next(reports)
    assert run.iteration > iteration
    assert_saved(run)


def test_a_full_disk_under_the_curves_ends_the_run_in_one_sentence(run):
    reports = iter(run)
    next(reports)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    size = checkpoint.path_of(run.folder() / "checkpoints", run.iteration).stat().st_size
    resource.setrlimit(resource.RLIMIT_FSIZE, (size + 100, hard))  # a checkpoint can be written, and no long curve
    try:
        with pytest.raises(
            ReporterError, match=r"^reporter (TensorBoard|Table) failed in report at .*: .*too large"
        ) as error:
            list(reports)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert isinstance(error.value.__cause__, OSError)
    assert "\n" not in str(error.value)
    assert_saved(run)


def test_only_one_run_at_a_time_is_in_a_folder(run):
    other = Run(tiny.agent(), run.env, run.config.output_dir, train_steps=10**9, eval_episodes=0)
    for _ in run:
        with pytest.raises(ValueError, match="is in use by process"):
            other.start()
        break
    other.start()
    assert other.iteration == run.iteration


def test_a_folder_that_cannot_hold_checkpoints_is_told_before_anything_is_compiled(run, tmp_path):
    (tmp_path / "run_0").mkdir()
    (tmp_path / "run_0" / "checkpoints").touch()
    with pytest.raises(RunError, match="checkpoints cannot be read: Not a directory"):
        Run(tiny.agent(), run.env, tmp_path, train_steps=8, eval_episodes=0).start()
    assert not (tmp_path / "run_0" / FILE).exists()
