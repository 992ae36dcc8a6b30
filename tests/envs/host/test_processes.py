"""Nothing that an environment in a process of its own has started outlives it, or the program."""

import functools
import os
import signal
import subprocess
import sys
import time

import psutil
import pytest

from rl_fn.envs.host import worker
from tests.envs.host.environments import Spawning

PROGRAM = """
import functools, os, sys, time
from rl_fn.envs.host import keeper, worker
from tests.envs.host.environments import Spawning
one = getattr(worker, sys.argv[1])(functools.partial(Spawning, sys.argv[2] + ".own"))
one.submit("describe")
one.result(60.0)
keeper.watch_marked()
os.replace(sys.argv[2] + ".own", sys.argv[2])
time.sleep(600)
"""


def started(path):
    """The ids of a worker and of what its environment has started, once they are known."""
    deadline = time.monotonic() + 60
    while not path.exists():
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return [int(pid) for pid in path.read_text().split()]


def wait_for_the_end_of(pids):
    deadline = time.monotonic() + 20
    while any(psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE for pid in pids):
        assert time.monotonic() < deadline, "left behind"
        time.sleep(0.02)


@pytest.mark.parametrize("end", ["close", "kill"])
def test_a_worker_takes_with_it_what_its_environment_has_started(end, tmp_path):
    one = worker.ProcessWorker(functools.partial(Spawning, tmp_path / "pids"))
    one.submit("describe")
    one.result(60.0)
    pids = started(tmp_path / "pids")
    getattr(one, end)()
    wait_for_the_end_of(pids)


@pytest.mark.parametrize(
    ("kind", "stopped"), [("ProcessWorker", 1), ("ProcessWorker", 3), ("InlineWorker", 0), ("ThreadWorker", 0)]
)
def test_a_program_that_was_killed_takes_with_it_also_what_was_stopped(kind, stopped, tmp_path):
    """The ids are the worker's, where that is a process, and of two processes that its environment has started."""
    command = [sys.executable, "-c", PROGRAM, kind, tmp_path / "pids"]
    program = subprocess.Popen(command, env={**os.environ, "PYTHONPATH": "."})
    pids = started(tmp_path / "pids")
    for pid in pids[:stopped]:
        os.kill(pid, signal.SIGSTOP)
    program.kill()
    program.wait()
    wait_for_the_end_of(pids)


def test_a_program_whose_environments_start_nothing_has_no_watcher():
    code = "from rl_fn.envs.host import keeper, worker; from tests.envs.host.environments import Walk; import os;"
    code += "one = worker.InlineWorker(Walk); one.submit('describe'); one.result(1.0); keeper.watch_marked();"
    code += "assert not keeper._watched; assert not [name for name in os.environ if name.startswith('RL_FN_')]"
    subprocess.run([sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": "."}, check=True)
