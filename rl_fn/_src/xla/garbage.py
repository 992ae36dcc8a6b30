"""Python's search for reference cycles, kept out of where it only costs time."""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Iterator


@contextlib.contextmanager
def collected_later(*, freeze: bool = False) -> Iterator[None]:
    """Makes no search for reference cycles until the end.

    Importing TensorFlow, and tracing a training step, make hundreds of thousands of objects that stay; looking
    through all of them again and again takes a quarter of that time.

    Args:
      freeze: whether what is there at the end is left out of later searches, too, also of the one with which Python
        ends. For imports: modules stay anyway.
    """
    was_enabled = gc.isenabled()
    if freeze:
        gc.collect()  # what is garbage now would stay, too
    gc.disable()
    try:
        yield
    finally:
        if freeze:
            gc.freeze()
        if was_enabled:
            gc.enable()
