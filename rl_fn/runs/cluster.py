"""Ray, started for the runs of this process and stopped after the last of them, or a cluster that is there already."""

from __future__ import annotations

import contextlib
import importlib.util
import logging
import os
import shutil
import signal
import socket
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rl_fn.runs.errors import RunError, one_line
from rl_fn.runs.lock import NAME as LOCK
from rl_fn.runs.lock import Lock

EXTRA = 'pip install "rl-fn[workers]"'
PREFIX = "rl-fn-"  # of folders that Rays of our own write to; short, since the names of sockets are
_LOOPBACK = "127.0.0.1"
_STORE_BYTES = 2 * 10**9  # of the object store of a Ray of our own, or a quarter of what is free; it spills to disk
_ATTEMPTS = 3  # to start it: a busy machine may take longer than the half minute that Ray waits
_SWITCHES = {
    "RAY_USAGE_STATS_ENABLED": "0",  # which would be sent away
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # what Ray will do by itself, and warns of until then
    "RAY_NUM_REDIS_GET_RETRIES": "2",  # to join a cluster, of 40 seconds each
    "RAY_DEDUP_LOGS_SKIP_REGEX": ".",  # it prints of workers that died, among the results of the command
}
_OWN = {  # of a Ray of our own, read when it is imported
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",  # whatever it is named after: it listens on loopback only
    "RAY_enable_metrics_collection": "0",
    "RAY_worker_niceness": "0",
    "RAY_local_fs_capacity_threshold": "1",  # a disk of which 95% are used is not full
    "RAY_gcs_rpc_server_reconnect_timeout_s": "20",  # after which what outlived a killed learner ends
}
_CONNECT_SECONDS = 10.0
_lock = threading.Lock()
_owned: Lock | None = None  # of the folder of the Ray that was started here
_users = 0  # runs in the Ray that was started or joined here


def check_installed(num_workers: int) -> None:
    """Raises ValueError, with what to install, where there is no Ray."""
    if importlib.util.find_spec("ray") is None:
        raise ValueError(f"num_workers is {num_workers}, and Ray, which more than one needs, is not installed: {EXTRA}")


def check_answers(address: str) -> None:
    """Checks that something answers where a cluster's address names a machine, since Ray takes minutes to give up.

    Raises:
      OSError: if nothing does.
    """
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if host and port.isdecimal():
        socket.create_connection((host.strip("[]"), int(port)), _CONNECT_SECONDS).close()


@contextlib.contextmanager
def connected(num_workers: int, address: str | None, free_bytes: int | None) -> Iterator[Any]:
    """Ray, ready for so many workers. A Ray that this process uses already is used, and left as it is.

    Args:
      num_workers: in a Ray that is started for them.
      address: of a cluster to join; None to start one, on this machine and on loopback.
      free_bytes: of memory, where that is known.

    Raises:
      RunError: if the cluster cannot be reached, or Ray cannot be started.
    """
    for name, value in {**_SWITCHES, **({} if address else _OWN)}.items():
        os.environ.setdefault(name, value)
    import ray

    global _users
    with _lock:
        is_theirs = ray.is_initialized() and not _users
        if not is_theirs:
            if not _users:
                _start(ray, num_workers, address, free_bytes)
            _users += 1
    try:
        yield ray
    finally:
        if not is_theirs:
            with _lock:
                _users -= 1
                if not _users:
                    _stop(ray)


def _start(ray: Any, num_workers: int, address: str | None, free_bytes: int | None) -> None:
    logging.getLogger("ray").setLevel(logging.ERROR)
    is_main = threading.current_thread() is threading.main_thread()
    before = signal.getsignal(signal.SIGTERM) if is_main else None
    try:
        if address is not None:
            check_answers(address)
            ray.init(address, configure_logging=False, log_to_driver=False)
        else:
            _start_own(ray, num_workers, free_bytes)
    except Exception as error:
        what = f"ray_address {address} cannot be reached" if address else "Ray cannot be started"
        raise RunError(f"{what}: {one_line(error)}") from error
    finally:
        if is_main:
            signal.signal(signal.SIGTERM, before)  # which Ray takes over


def _start_own(ray: Any, num_workers: int, free_bytes: int | None) -> None:
    global _owned
    store = max(min(_STORE_BYTES, (free_bytes or _STORE_BYTES) // 4), 10**8)
    quiet = {"configure_logging": False, "log_to_driver": False, "include_dashboard": False}
    has = {"num_cpus": num_workers, "num_gpus": 0, "object_store_memory": store}
    sweep(Path(tempfile.gettempdir()))
    for attempts_left in reversed(range(_ATTEMPTS)):
        try:
            _owned = Lock(Path(tempfile.mkdtemp(prefix=PREFIX)))
            ray.init("local", _node_ip_address=_LOOPBACK, _temp_dir=str(_owned.path.parent), **has, **quiet)
            return
        except Exception:
            _stop(ray)
            if not attempts_left:
                raise


def sweep(folder: Path) -> None:
    """Deletes the folders of Rays whose processes were killed: logs, and objects that had gone to the disk."""
    for left in folder.glob(f"{PREFIX}*"):
        with contextlib.suppress(OSError, ValueError):  # it is somebody else's, or in use
            if (left / LOCK).is_file():
                Lock(left).release()
                shutil.rmtree(left, ignore_errors=True)


def _stop(ray: Any) -> None:
    global _owned
    ray.shutdown()
    if _owned:
        shutil.rmtree(_owned.path.parent, ignore_errors=True)
        _owned.release()
    _owned = None
