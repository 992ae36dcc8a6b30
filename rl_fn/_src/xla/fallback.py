"""What happens where TensorFlow no longer has a private name that something here is faster with."""

from __future__ import annotations

import functools
import logging

import tensorflow as tf

_LOG = logging.getLogger(__name__)


@functools.cache
def say_slower(what: str) -> None:
    """Says, once, that something goes on in a public and slower way."""
    _LOG.warning("TensorFlow %s has changed inside: %s; results are the same", tf.__version__, what)
