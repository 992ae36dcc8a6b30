"""What becomes of environments that fail. Neither TensorFlow nor NumPy is imported here."""

from __future__ import annotations

from typing import NamedTuple

LONGEST = 300  # letters of a reason


class EnvFailed(RuntimeError):
    """Environments that cannot be gone on with: a sentence that names them. Their own traceback is told by `logging`.

    Args:
      sentence: what happened to which environment.
      details: the traceback, or a reason in a line; its end becomes that of the sentence.
    """

    def __init__(self, sentence: str, details: str):
        super().__init__(f"{sentence}: {reason_of(details)}")
        self.details = details


class Failures(NamedTuple):
    """What was mended so far."""

    restarts: int = 0  # environments that were made again, for whatever reason
    timeouts: int = 0  # of these, such that did not answer in time

    def plus(self, more: Failures) -> Failures:
        """Both counts together."""
        return Failures(self.restarts + more.restarts, self.timeouts + more.timeouts)

    def since(self, before: Failures) -> Failures:
        """What came after an earlier count."""
        return Failures(self.restarts - before.restarts, self.timeouts - before.timeouts)


def reason_of(text: str) -> str:
    """Of a traceback, what was raised, in one line."""
    lines = text.strip().splitlines() or ["no reason was given"]
    frames = [index for index, line in enumerate(lines) if line.startswith("  ")]
    raised = lines[frames[-1] + 1 :] if frames else lines
    return " ".join(" ".join(raised or lines[-1:]).split())[:LONGEST]
