"""A thread that tells somebody outside, without anybody waiting for it or failing with it."""

from __future__ import annotations

import threading
from collections.abc import Callable

_PAUSES = (1.0, 30.0)  # seconds between two attempts; after a failure doubled with each, up to the second
_END = 60.0  # seconds that the end waits at most, while what is left is being told


class Teller:
    """Tells again whenever there is something new, and tries again where that fails.

    Args:
      name: of the thread.
      tell: tells all that there is; its argument says whether it is for the last time.
      failed: called with what `tell` raises for the first time.
    """

    def __init__(self, name: str, tell: Callable[[bool], None], failed: Callable[[Exception], None]):
        self._tell, self._failed, self._has_failed = tell, failed, False
        self._new, self._closing = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._work, name=name, daemon=True)
        self._thread.start()

    def wake(self) -> None:
        """There is something new."""
        self._new.set()

    def close(self) -> None:
        """Tells the rest, and waits for that a while."""
        self._closing.set()
        self._new.set()
        self._thread.join(_END)

    def _work(self) -> None:
        pause, is_last = _PAUSES[0], False
        while not is_last:
            is_last = self._closing.is_set()
            self._new.clear()
            try:
                self._tell(is_last)
            except Exception as error:  # whatever a package raises, what is told of goes on
                if not self._has_failed:
                    self._has_failed = True
                    self._failed(error)
                self._closing.wait(pause)
                pause = min(2 * pause, _PAUSES[1])
            else:
                pause = _PAUSES[0]
                if not is_last:
                    self._new.wait()
                    self._closing.wait(pause)  # so that some things come together
