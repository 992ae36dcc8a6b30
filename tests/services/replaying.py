"""A worker that acts nothing: it answers with a buffer of a given size, and may be told to misbehave."""

import os
import time

import numpy as np

from rl_fn.runs.worker import Acted


class Replaying:
    """As `rl_fn.runs.worker.Worker`; each byte of its answer is its number, and its rollouts take `seconds`."""

    def __init__(self, worker, size=1_000, seconds=0.0, error=None, dies=False):
        self._worker, self._size, self._seconds, self._error, self._dies = worker, size, seconds, error, dies

    def rollout(self, policy, version):
        """Returns the buffer; what ended is an episode of the return that the policy's first byte says."""
        if self._dies:
            os._exit(1)
        time.sleep(self._seconds)
        episodes = (1.0, float(policy[0]), 5.0)
        buffer = np.full(self._size, self._worker, np.uint8)
        return buffer, Acted(episodes, self._seconds, (0, 0), {}, [], self._error)

    def pid(self):
        """That of its process."""
        return os.getpid()

    def is_there(self):
        """See Worker."""
        return True

    def stop(self):
        """See Worker."""

    def close(self):
        """See Worker."""
