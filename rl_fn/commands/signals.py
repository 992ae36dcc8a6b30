"""Interrupts: answered within seconds, whatever the process is busy with.

Python calls a handler only between two steps of its own, and a compiler that is at work takes minutes for one. So a
signal is answered by a thread, which Python's handler in C wakes at once.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator

from rl_fn.commands.exits import EXIT_INTERRUPTED, line

SIGNALS = tuple(
    number for name in ("SIGINT", "SIGTERM", "SIGHUP") if (number := getattr(signal, name, None)) is not None
)
GRACE_SECONDS = 3.0  # for what is busy and has nothing to lose

_stop: Callable[[], None] | None = None  # what the first signal calls
_terminal = 2  # standard error, also while it is silenced
_has_begun: Callable[[], bool] = lambda: True


@contextlib.contextmanager
def answered() -> Iterator[None]:
    """Ends the process in one line at the first signal, or where something is `stopping` at the second."""
    global _terminal
    if threading.current_thread() is not threading.main_thread():  # others may not handle signals
        yield
        return
    # Who starts a command with nohup wants it to go on.
    numbers = [number for number in SIGNALS if number == signal.SIGINT or signal.getsignal(number) != signal.SIG_IGN]
    _terminal = os.dup(2)
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    awake = signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    previous = {number: signal.signal(number, lambda *_: None) for number in numbers}
    thread = threading.Thread(target=_answer, args=[reader, frozenset(numbers)], name="signals", daemon=True)
    thread.start()
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(awake)
        os.close(writer)
        thread.join()
        os.close(reader)
        os.close(_terminal)


@contextlib.contextmanager
def stopping(stop: Callable[[], None], has_begun: Callable[[], bool]) -> Iterator[None]:
    """Makes the first signal call `stop` from another thread, whereupon what is busy saves and ends.

    Args:
      stop: is called once.
      has_begun: whether there is something to save yet; while there is not, the process is ended after a short while.
    """
    global _stop, _has_begun
    _stop, _has_begun = stop, has_begun
    try:
        yield
    finally:
        _stop, _has_begun = None, lambda: True


def _answer(reader: int, numbers: frozenset[int]) -> None:
    count = 0
    while received := os.read(reader, 1):
        if received[0] not in numbers:
            continue
        count += 1
        if count > 1 or _stop is None:
            _end("stopped at once" if count > 1 else "stopped; there was nothing to save")
        else:
            _stop()
            timer = threading.Timer(GRACE_SECONDS, _end_unless_begun, [_stop])
            timer.daemon = True
            timer.start()


def _end_unless_begun(stop: Callable[[], None]) -> None:
    if _stop is stop and not _has_begun():  # the process may be at another command by now
        _end("stopped before the first step; there was nothing to save")


def _end(sentence: str) -> None:
    """Ends the process from a thread, without waiting for anything."""
    show_cursor = "\x1b[?25h\n" if sys.stderr.isatty() else ""  # a progress line hides it
    os.write(_terminal, f"{show_cursor}{line(sentence)}\n".encode())
    os._exit(EXIT_INTERRUPTED)
