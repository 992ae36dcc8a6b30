"""`rl-fn version`."""

import platform

import rl_fn
from rl_fn._src.xla.startup import tensorflow_version


def version() -> None:
    """Print the version, and those of TensorFlow and Python."""
    print(f"rl-fn {rl_fn.__version__}, TensorFlow {tensorflow_version()}, Python {platform.python_version()}")
