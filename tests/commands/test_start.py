"""What the command line needs to start, and what the package loads."""

import resource
import subprocess
import sys

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
