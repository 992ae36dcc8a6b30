"""What must be settled before TensorFlow is imported."""

from __future__ import annotations

import atexit
import contextlib
import hashlib
import importlib.metadata
import logging
import os
import platform
import sys
from pathlib import Path

from rl_fn._src.lazy import quiet
from rl_fn._src.xla import program_cache
from rl_fn._src.xla.garbage import collected_later

_LOG = logging.getLogger(__name__)
_SWITCH = "RL_FN_COMPILATION_CACHE"  # "off" in the environment switches the cache off
_FLAGS, _FOLDER_FLAG = "TF_XLA_FLAGS", "--tf_xla_persistent_cache_directory="
_WIDTH_FLAG = "--xla_cpu_prefer_vector_width"
_WIDE = "avx512_vbmi2"  # what processors can that have wide vectors and do not slow down for them
# What XLA says where it cannot read a program
_UNREADABLE = ("Serialized cache", "Read less bytes", "Failed to parse serialized", "as binary proto")
_folder_in_use: Path | None = None


def import_tensorflow(compilation_cache: bool, devices: int = 1, look: bool = True) -> None:
    """Imports TensorFlow quietly.

    Args:
      compilation_cache: whether with XLA's persistent compilation cache; logs why there is none.
      devices: how many logical devices a CPU becomes where there is no GPU.
      look: whether to look for devices, after which the number of threads cannot be changed.
    """
    global _folder_in_use
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")  # results of uncompiled operations vary with it
    if compilation_cache and os.environ.get(_SWITCH) != "off" and not _folder_in_use and (folder := cache_folder()):
        flag = f"{_FOLDER_FLAG}{folder}"
        os.environ[_FLAGS] = f"{os.environ.get(_FLAGS, '')} {flag}".strip()
        _folder_in_use = folder
        atexit.register(_seal, folder)
    with quiet(), collected_later(freeze=True):
        import tensorflow as tf

        if devices > 1 and not tf.config.list_physical_devices("GPU"):
            one, *_ = tf.config.list_physical_devices("CPU")
            parts = [tf.config.LogicalDeviceConfiguration() for _ in range(devices)]
            with contextlib.suppress(RuntimeError):  # it runs already: who wants them says so
                tf.config.set_logical_device_configuration(one, parts)
    if look:
        look_for_devices()


def use_wide_vectors() -> None:
    """Has XLA take vectors of 512 bits on processors from Intel's Ice Lake and AMD's Zen 4 on; it takes 256 by itself.

    The processes that this one starts inherit that. Where TensorFlow is there already, nothing can be changed.
    """
    if "tensorflow" not in sys.modules and (flags := xla_flags()):
        os.environ["XLA_FLAGS"] = flags


def xla_flags() -> str:
    """The flags of XLA in the environment, and that of wide vectors, unless that is one of them."""
    flags = os.environ.get("XLA_FLAGS", "")
    is_settled = _WIDTH_FLAG in flags or _WIDE not in _processor().split()
    return flags if is_settled else f"{flags} {_WIDTH_FLAG}=512".strip()


def look_for_devices() -> None:
    """Lets TensorFlow begin, which says on the way what it does not find."""
    import tensorflow as tf

    with quiet(), collected_later():
        tf.constant(0)


def cache_folder() -> Path | None:
    """The folder of compiled programs in the user's cache, made where it is missing; None if it cannot be.

    Programs hold machine code, cut for so many cores, and XLA knows one by what it was compiled from alone. So each
    kind of processor, number of cores, version of TensorFlow and setting of XLA's flags has its own, and those that
    nobody has opened for a month are deleted.
    """
    try:
        root = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    except RuntimeError:
        _LOG.warning("trains without the cache of compiled programs: there is no home folder")
        return None
    told = "\n".join([_processor(), str(usable_cores()), *_flags_of_compiler()])
    compiler = hashlib.sha256(told.encode()).hexdigest()[:12]
    folder, sentence = program_cache.opened(root / "rl_fn" / "xla" / f"tensorflow-{tensorflow_version()}-{compiler}")
    if sentence:
        _LOG.warning(sentence)
    if folder:
        program_cache.forget(folder, "tensorflow-*")
    return folder


def is_failure_of_cache(error: BaseException) -> bool:
    """Whether XLA could not read or write the folder of compiled programs, which ends what it was compiling."""
    said = str(error)
    is_theirs = _folder_in_use is not None and type(error).__module__.startswith("tensorflow.")
    return is_theirs and (str(_folder_in_use) in said or any(words in said for words in _UNREADABLE))


def switch_cache_off() -> None:
    """Empties the cache that failed, and makes what this process starts, or becomes, do without it."""
    if _folder_in_use:
        atexit.unregister(_seal)
        program_cache.clear(_folder_in_use)
    os.environ[_SWITCH] = "off"
    flag = f"{_FOLDER_FLAG}{_folder_in_use}"
    os.environ[_FLAGS] = os.environ.get(_FLAGS, "").replace(flag, "").strip()


def _seal(folder: Path) -> None:
    with contextlib.suppress(OSError):
        program_cache.seal(folder)


def tensorflow_version() -> str:
    """The version of the installed TensorFlow, whose package for TPUs has another name; does not import it."""
    try:
        return importlib.metadata.version("tensorflow")
    except importlib.metadata.PackageNotFoundError:
        return importlib.metadata.version("tensorflow-tpu")


def usable_cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _flags_of_compiler() -> list[str]:
    """What the environment tells XLA, but for the folder itself, which a process hands on to what it starts."""
    told = [flag for name in ("XLA_FLAGS", _FLAGS) for flag in os.environ.get(name, "").split()]
    return [flag for flag in told if not flag.startswith(_FOLDER_FLAG)]


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return f"{platform.machine()} {platform.processor()}"
    described = [line for line in lines if line.startswith(("model name", "flags", "Features", "CPU part"))]
    return "\n".join(sorted(set(described)))
