import gc
import os

from rl_fn._src.xla import startup

startup.use_wide_vectors()  # as the commands have them that are compared with what is done here
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# Tracing makes hundreds of thousands of objects that stay; looking through them again and again takes a tenth of the
# time of a test.
gc.set_threshold(200_000, 20, 20)

pytest_plugins = ["tests.trained"]


def pytest_collection_finish():
    """What was imported stays: later searches for reference cycles, and that at the end, leave it out."""
    gc.collect()
    gc.freeze()
