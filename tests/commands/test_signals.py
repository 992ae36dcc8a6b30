"""Interrupts: answered in one line from the first moment on, also while something else than Python is busy."""

import os
import signal
import threading
import time
from pathlib import Path

import pytest

from rl_fn.commands import signals
from tests.commands.processes import finish, start, train


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGINT])
def test_a_signal_while_tensorflow_is_imported_ends_the_command_in_one_line(number, tmp_path):
    process = start(*train(tmp_path / "run"), XDG_CACHE_HOME=str(tmp_path))
    while "libtensorflow" not in Path(f"/proc/{process.pid}/maps").read_text():
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(number)
    code, out, error = finish(process)
    assert (code, out, error) == (130, "", "rl-fn: stopped; there was nothing to save\n")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("number", signals.SIGNALS)
def test_the_first_signal_asks_what_has_begun_to_stop(number):
    stopped = threading.Event()
    before = signal.getsignal(number)
    with signals.answered(), signals.stopping(stopped.set, has_begun=lambda: True):
        os.kill(os.getpid(), number)
        assert stopped.wait(10)
    assert signal.getsignal(number) is before


def test_what_comes_after_a_command_that_was_stopped_is_left_alone(monkeypatch):
    monkeypatch.setattr(signals, "GRACE_SECONDS", 0.2)
    stopped = threading.Event()
    with signals.answered():
        with signals.stopping(stopped.set, has_begun=lambda: True):
            os.kill(os.getpid(), signal.SIGTERM)
            assert stopped.wait(10)
        with signals.stopping(lambda: None, has_begun=lambda: False):
            time.sleep(0.5)  # would end this process


def test_other_threads_are_left_alone():
    def run():
        with signals.answered():
            done.set()

    done = threading.Event()
    threading.Thread(target=run).start()
    assert done.wait(10)
