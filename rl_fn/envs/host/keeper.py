"""Leaves nothing behind of what environments have started. Linux only; nothing happens elsewhere.

Whatever a process starts inherits its environment variables, and keeps them in a group or session of its own. By a
variable with a name of its own it is found, also where worker and program were killed: for that, a watcher waits for
the program's end, in a process that runs this file and loads nothing but the standard library. Workers have the
variable from their start; in the program itself it is there while environments are made and reset.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator

_TRIES = 100  # a process may start others while it is being killed, and takes a moment to end
_PAUSE_SECONDS = 0.01
_LOOK_SECONDS = 1.0  # between looks whether the program lives, where the kernel does not say
_names: dict[int, str] = {}  # by the id of the process, because a fork has the values of its parent
_watched: set[int] = set()
_lock = threading.Lock()
_marking = 0  # how many threads are at it


def watched_name() -> str:
    """The name of a variable for what this program starts: when it ends, every process that has one is killed."""
    here, name = os.getpid(), _name()
    with _lock:
        if here not in _watched and os.path.isdir("/proc/self"):
            _watched.add(here)
            command = [sys.executable, "-I", "-S", __file__, str(here), name]
            nowhere = subprocess.DEVNULL
            # It detaches itself, and holds none of our pipes open.
            subprocess.run(command, stdin=nowhere, stdout=nowhere, stderr=nowhere, start_new_session=True, check=False)
    return name


@contextlib.contextmanager
def marking() -> Iterator[None]:
    """Gives what is started meanwhile the variable; `watch_marked` is then to be called."""
    global _marking
    with _lock:
        _marking += 1
        os.environ[_name()] = ""
    try:
        yield
    finally:
        with _lock:
            _marking -= 1
            if not _marking:
                os.environ.pop(_name(), None)


def watch_marked() -> None:
    """Sees to it that what was started while `marking` ends with the program; without such, there is no watcher."""
    if os.getpid() not in _watched and any(_name().encode() in _variables(pid) for pid in _processes()):
        watched_name()


def kill_marked(mark: str) -> None:
    """Kills every process whose variables hold this text, the stopped ones, too."""
    for _ in range(_TRIES):
        found = [pid for pid in _processes() if mark.encode() in _variables(pid)]
        if not found:
            return
        for pid in found:
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(_PAUSE_SECONDS)


def watch(program: int, name: str) -> None:
    """Waits, in a detached process, until the program ends, and kills what has the variable."""
    try:
        handle = os.pidfd_open(program)
    except (AttributeError, OSError):  # older kernels, and Pythons that were built on such
        handle = None
    if os.getppid() != program or os.fork():  # who started this waits no longer
        return
    os.chdir("/")
    if handle is not None:
        select.select([handle], [], [])
    else:
        while os.path.exists(f"/proc/{program}"):
            time.sleep(_LOOK_SECONDS)
    kill_marked(f"{name}=")


def _name() -> str:
    return _names.setdefault(os.getpid(), f"RL_FN_{os.urandom(16).hex()}")


def _processes() -> list[int]:
    with contextlib.suppress(OSError):
        return [int(entry) for entry in os.listdir("/proc") if entry.isdigit()]
    return []


def _variables(pid: int) -> bytes:
    with contextlib.suppress(OSError), open(f"/proc/{pid}/environ", "rb") as file:
        return file.read()
    return b""


if __name__ == "__main__":
    watch(int(sys.argv[1]), sys.argv[2])
