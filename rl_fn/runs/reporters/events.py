"""TensorBoard's event files of a run that goes on."""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Iterator
from pathlib import Path

import tensorflow as tf
from google.protobuf.message import DecodeError
from tensorboard.compat.proto import event_pb2

from rl_fn.runs import files


@contextlib.contextmanager
def as_os_errors() -> Iterator[None]:
    """Makes an OSError of what TensorFlow raises where it cannot read or write a file."""
    try:
        yield
    except tf.errors.OpError as error:
        # {{the node}} what happened, to which file [Op:of what name] ...
        first, *_ = str(error.message).splitlines() or [""]
        raise OSError(first.rpartition("}} ")[2].partition(" [Op:")[0]) from error


def cut_back(folder: Path, steps: int) -> bool:
    """Removes what a folder's event files say of later steps, and what a killed process left half written.

    A run goes on from its checkpoint and reports again what came after it; without this, those points are there twice.

    Args:
      folder: with any number of event files.
      steps: the last that is kept.

    Returns:
      Whether anything is left.
    """
    is_left = False
    for path in sorted(folder.glob("events.out.tfevents.*")):
        if path.suffix == ".unfinished":
            path.unlink()
            continue
        if not path.is_file():
            raise OSError(errno.EINVAL, "it is no file", str(path))
        kept = [record for record, event in _events(path) if event.step <= steps]
        unfinished = path.with_name(f"{path.name}.unfinished")
        try:
            with tf.io.TFRecordWriter(str(unfinished)) as writer:
                for record in kept:
                    writer.write(record)
            if unfinished.stat().st_size < path.stat().st_size:
                unfinished.replace(path)
        finally:
            files.remove(unfinished)
        is_left |= len(kept) > 1  # besides the file's version
    return is_left


def _events(path: Path) -> Iterator[tuple[bytes, event_pb2.Event]]:
    """The records of a file, and what they say, up to its end or the first that is damaged."""
    records = tf.data.TFRecordDataset(str(path)).as_numpy_iterator()
    while True:
        try:
            record = next(records)
            event = event_pb2.Event.FromString(record)
        except (StopIteration, tf.errors.DataLossError, DecodeError):
            return
        yield record, event
