"""Where the session of an environment lives: in this thread, in another, or in another process.

TensorFlow is not imported here: a process that only steps an environment starts without it.
"""

from __future__ import annotations

import contextlib
import itertools
import logging
import os
import queue
import signal
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from typing import Any, Protocol

import cloudpickle

from rl_fn._src import spaces
from rl_fn.envs.host import factories, keeper, session
from rl_fn.envs.host.session import Session

_CLOSE = "close"
_BEGINNINGS = ("describe", "reset")  # with which environments are made, and start what they need
_LEAVE_SECONDS = 5.0  # to end after a request to do so
_LOOK_SECONDS = 0.5  # between two looks whether to give up
_OURS = {__file__, session.__file__, factories.__file__, spaces.__file__}  # whose lines tell users nothing
_LOG = logging.getLogger(__name__)
_count = itertools.count()  # of processes


class WorkerError(Exception):
    """What went wrong in an environment, as text: mostly the traceback."""


class TimedOut(WorkerError):
    """An environment that did not answer in time."""

    def __init__(self, timeout: float):
        super().__init__(f"it did not answer within {timeout:g} seconds")


class GivenUp(Exception):
    """Whoever waited for an environment was told not to wait any longer."""


class Worker(Protocol):
    """Where a Session lives. A request is submitted, then its result is taken."""

    def submit(self, method: str, *args: Any) -> None:
        """Asks for a method of the Session."""

    def result(self, timeout: float, give_up: Callable[[], bool] = lambda: False) -> Any:
        """Its result; raises WorkerError where there is none after `timeout` seconds, GivenUp where that is said."""

    def close(self) -> None:
        """Ends, after a request to close the environment; raises WorkerError where it did not close well."""

    def kill(self) -> None:
        """Gives the environment up, in whatever state it is."""


class InlineWorker:
    """In the caller's thread: nothing is faster for cheap environments, and nothing can be timed out."""

    def __init__(self, factory: Callable[[], Any]):
        self._factory = factory
        self._session: Session | None = None
        self._request: tuple[str, tuple] = ("", ())

    def submit(self, method: str, *args: Any) -> None:
        """See Worker."""
        self._request = method, args

    def result(self, timeout: float, give_up: Callable[[], bool] = lambda: False) -> Any:
        """See Worker; `give_up` is asked once."""
        if give_up():
            raise GivenUp
        method, args = self._request
        try:
            if method not in _BEGINNINGS and self._session is not None:
                return getattr(self._session, method)(*args)
            with keeper.marking():
                self._session = self._session or Session(self._factory)
                return getattr(self._session, method)(*args)
        except Exception:
            raise WorkerError(_account()) from None
        except SystemExit:  # also of a handler of signals, so it cannot be held back
            _LOG.error("the program is ended while an environment is at work:\n%s", traceback.format_exc().strip())
            raise

    def close(self) -> None:
        """See Worker."""
        if self._session is not None:
            self.submit(_CLOSE)
            self.result(0.0)
            self._session = None

    def kill(self) -> None:
        """See Worker."""
        with contextlib.suppress(WorkerError):
            self.close()


class ThreadWorker:
    """In a thread of its own, which is left behind where it hangs."""

    def __init__(self, factory: Callable[[], Any]):
        self._requests: queue.SimpleQueue = queue.SimpleQueue()
        self._answers: queue.SimpleQueue = queue.SimpleQueue()
        self._thread = threading.Thread(
            target=_serve, args=(factory, self._requests.get, self._answers.put), daemon=True
        )
        self._thread.start()

    def submit(self, method: str, *args: Any) -> None:
        """See Worker."""
        self._requests.put((method, args))

    def result(self, timeout: float, give_up: Callable[[], bool] = lambda: False) -> Any:
        """See Worker."""
        for seconds in _looks(timeout, give_up):
            with contextlib.suppress(queue.Empty):
                return _value(self._answers.get(timeout=seconds))
        raise TimedOut(timeout)

    def close(self) -> None:
        """See Worker."""
        self.submit(_CLOSE)
        self.result(_LEAVE_SECONDS)

    def kill(self) -> None:
        """See Worker."""
        self.submit(_CLOSE)


class ProcessWorker:
    """In a process of its own, which can crash or hang without harm and is then killed.

    The process is a fresh interpreter, so it needs no `if __name__ == "__main__"` in the caller's program,
    and inherits no threads or locks.
    """

    def __init__(self, factory: Callable[[], Any]):
        self._connection, theirs = Pipe()
        code = f"import sys; sys.path[:] = {sys.path!r}; from rl_fn.envs.host import worker; worker.main"
        code += f"({theirs.fileno()}, {os.getpid()})"
        variable, value = keeper.watched_name(), str(next(_count))
        self._mark = f"{variable}={value}\0"  # of all that it starts
        # A group of its own: Ctrl-C in a terminal is the training program's to deal with.
        self._process = subprocess.Popen(
            [sys.executable, "-c", code],
            stdin=subprocess.DEVNULL,
            pass_fds=[theirs.fileno()],
            start_new_session=True,
            env={**os.environ, variable: value},
        )
        theirs.close()
        with contextlib.suppress(OSError):  # a process that ended says so in `result`
            self._connection.send_bytes(cloudpickle.dumps(factory))

    def submit(self, method: str, *args: Any) -> None:
        """See Worker."""
        with contextlib.suppress(OSError):
            self._connection.send((method, args))

    def result(self, timeout: float, give_up: Callable[[], bool] = lambda: False) -> Any:
        """See Worker."""
        try:
            if not any(self._connection.poll(seconds) for seconds in _looks(timeout, give_up)):
                raise TimedOut(timeout)
            return _value(self._connection.recv())
        except (EOFError, OSError):
            raise WorkerError(self._end()) from None

    def close(self) -> None:
        """See Worker."""
        self.submit(_CLOSE)
        try:
            self.result(_LEAVE_SECONDS)
            self._end()
        finally:
            self.kill()

    def kill(self) -> None:
        """See Worker."""
        if self._process.poll() is None:
            with contextlib.suppress(OSError):
                os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        keeper.kill_marked(self._mark)
        self._connection.close()

    def _end(self) -> str:
        """Waits a moment for the end of the process, and says how it ended."""
        try:
            status = self._process.wait(_LEAVE_SECONDS)
        except subprocess.TimeoutExpired:
            return "its process closed the connection"
        return f"its process ended {f'by signal {-status}' if status < 0 else f'with exit status {status}'}"


def _looks(timeout: float, give_up: Callable[[], bool]) -> Iterator[float]:
    """Cuts a wait into pieces, in seconds, with a look between two of them whether to go on."""
    deadline = time.monotonic() + timeout
    yield min(timeout, _LOOK_SECONDS)
    while (left := deadline - time.monotonic()) > 0:
        if give_up():
            raise GivenUp
        yield min(left, _LOOK_SECONDS)


def main(descriptor: int, parent: int) -> None:
    """What a worker's process does: serves requests from a pipe, until `parent`, a process id, closes it or ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_leave_with_parent, args=(parent,), daemon=True).start()
    connection = Connection(descriptor)
    with contextlib.suppress(EOFError, OSError):  # the parent has gone
        pickled = connection.recv_bytes()
        _serve(lambda: cloudpickle.loads(pickled)(), connection.recv, connection.send)


def _leave_with_parent(parent: int) -> None:
    """Ends this process, also in the middle of a step that hangs, when the training program has been killed."""
    while os.getppid() == parent:
        time.sleep(1.0)
    os._exit(1)


def _serve(factory: Callable[[], Any], receive: Callable[[], tuple], send: Callable[[Any], None]) -> None:
    session: Session | None = None
    while True:
        method, args = receive()
        try:
            with keeper.marking() if method in _BEGINNINGS else contextlib.nullcontext():
                if session is None and method != _CLOSE:
                    session = Session(factory)
                value = getattr(session, method)(*args) if session is not None else None
        except BaseException:  # also where it calls for the end of the program
            send((None, _account()))
        else:
            send((value, None))
        if method == _CLOSE:
            break


def _account() -> str:
    """The traceback of what is raised, from where it leaves our files; only what was raised, where it never does."""
    kind, error, place = sys.exc_info()
    while place is not None and place.tb_frame.f_code.co_filename in _OURS:
        place = place.tb_next
    if place is None:
        return "".join(traceback.format_exception_only(kind, error))
    return "".join(traceback.format_exception(kind, error, place))


def _value(answer: tuple[Any, str | None]) -> Any:
    value, failure = answer
    if failure is not None:
        raise WorkerError(failure)
    return value
