"""What must be settled before TensorFlow is imported."""

from __future__ import annotations

import contextlib
import hashlib
import importlib.metadata
import os
import platform
import sys
from collections.abc import Iterator
from pathlib import Path

from rl_fn._src.xla.garbage import collected_later


def import_tensorflow(compilation_cache: bool) -> None:
    """Imports TensorFlow quietly, with XLA's persistent compilation cache if wanted."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")  # results of uncompiled operations vary with it
    if compilation_cache and (folder := cache_folder()):
        flag = f"--tf_xla_persistent_cache_directory={folder}"
        os.environ["TF_XLA_FLAGS"] = f"{os.environ.get('TF_XLA_FLAGS', '')} {flag}".strip()
    with _silenced_stderr(), collected_later():
        import tensorflow as tf

        tf.constant(0)  # looks for devices


def cache_folder() -> Path | None:
    """The folder of compiled programs in the user's cache, made where it is missing; None if it cannot be.

    Programs hold machine code, so each kind of processor and each version of TensorFlow has its own.
    """
    root = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    processor = hashlib.sha256(_processor().encode()).hexdigest()[:12]
    folder = root / "rl_fn" / "xla" / f"tensorflow-{tensorflow_version()}-{processor}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return None
    return folder if os.access(folder, os.W_OK) else None


def tensorflow_version() -> str:
    """The version of the installed TensorFlow, whose package for TPUs has another name; does not import it."""
    try:
        return importlib.metadata.version("tensorflow")
    except importlib.metadata.PackageNotFoundError:
        return importlib.metadata.version("tensorflow-tpu")


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return f"{platform.machine()} {platform.processor()}"
    described = [line for line in lines if line.startswith(("model name", "flags", "Features", "CPU part"))]
    return "\n".join(sorted(set(described)))


@contextlib.contextmanager
def _silenced_stderr() -> Iterator[None]:
    """Drops what native code prints on standard error before its log level can be set."""
    sys.stderr.flush()
    saved = os.dup(2)
    with open(os.devnull, "w") as nowhere:
        os.dup2(nowhere.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(saved, 2)
        os.close(saved)
