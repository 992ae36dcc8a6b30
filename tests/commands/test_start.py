"""What the command line needs to start, and what the package loads."""

import resource
import subprocess
import sys

import pytest

from rl_fn.commands import exits
from tests.commands.processes import ROOT


def test_help_answers_at_once_and_without_tensorflow():
    def processor_seconds(*command):
        usage = resource.getrusage(resource.RUSAGE_CHILDREN)
        before = usage.ru_utime + usage.ru_stime
        done = subprocess.run([sys.executable, *command], cwd=ROOT, check=True, capture_output=True, text=True)
        usage = resource.getrusage(resource.RUSAGE_CHILDREN)
        return usage.ru_utime + usage.ru_stime - before, done.stdout

    seconds, out = processor_seconds("-m", "rl_fn", "train", "--help")
    assert "--hparams NAME" in out
    # A share of other work, not a number of seconds, since the same work takes longer on a busy or slower machine.
    assert seconds < processor_seconds("-c", "import tensorflow")[0] / 5


def test_listing_describing_and_refusing_need_no_tensorflow():
    check = (
        "import contextlib, sys; from rl_fn.commands import main; import rl_fn as rl; "
        "main(['envs', '--match', 'cartpole']); rl.sets.find('ppo'); rl.runs.RunConfig\n"
        "with contextlib.suppress(SystemExit): main(['train', '--hparams', 'ppo_cartpol', '--output_dir', 'x'])\n"
        "assert not {'tensorflow', 'pygame', 'imageio', 'matplotlib', 'jax'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", check], cwd=ROOT, check=True, capture_output=True)


def test_importing_the_package_loads_no_simulator():
    check = (
        "import sys, rl_fn as rl; rl.losses.q_learning; rl.loops.train_step; rl.envs.make; rl.runs.Run; "
        "assert not {'gym', 'matplotlib', 'ale_py', 'envpool', 'ray', 'jax'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", check], cwd=ROOT, check=True)


def test_a_python_without_the_packages_says_what_to_do(capsys):
    with pytest.raises(SystemExit) as ended, exits.failures():
        raise ModuleNotFoundError("No module named 'gymnasium'", name="gymnasium")
    assert ended.value.code == exits.EXIT_FAILURE
    assert "gymnasium is not installed for " in (said := capsys.readouterr().err)
    assert "make setup, and then source .venv/bin/activate" in said
