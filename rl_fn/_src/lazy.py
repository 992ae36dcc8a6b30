"""The package's own modules, loaded when something in them is first asked for. No TensorFlow is needed."""

from __future__ import annotations

import contextlib
import importlib
import os
import sys
from collections.abc import Iterator
from types import ModuleType

from rl_fn._src.xla.garbage import collected_later


def load(name: str) -> ModuleType:
    """Imports a module of this package, and TensorFlow with it where it needs that: without greetings."""
    if "tensorflow" in sys.modules:
        return importlib.import_module(name)
    with quiet(), collected_later(freeze=True):
        return importlib.import_module(name)


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Imports TensorFlow without what its native code says of the machine, unless `TF_CPP_MIN_LOG_LEVEL` asks for it.

    Some of that comes before its log level can be set, so nothing is printed on standard error meanwhile; what fails
    raises an exception.
    """
    if os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3") == "0":
        yield
        return
    if sys.stderr is not None:
        sys.stderr.flush()
    try:
        saved = os.dup(2)
    except OSError:  # closed, so that nothing is printed anyway
        yield
        return
    with open(os.devnull, "w") as nowhere:
        os.dup2(nowhere.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(saved, 2)
        os.close(saved)
