import gc
import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
# Tracing makes hundreds of thousands of objects that stay; looking through them again and again takes a tenth of the
# time of a test.
gc.set_threshold(200_000, 20, 20)

pytest_plugins = ["tests.trained"]
