"""Python's search for reference cycles, kept out of where it only costs time."""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Iterator


@contextlib.contextmanager
def collected_later() -> Iterator[None]:
    """Makes no search for reference cycles until the end.

    Importing TensorFlow, and tracing a training step, make hundreds of thousands of objects that stay; looking
    through all of them again and again takes a quarter of that time.
    """
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
