"""What a process with two logical CPUs shows; started by test_devices.py, it prints one line of JSON."""

import json
import os
import sys
import time

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import numpy as np
import tensorflow as tf

from rl_fn import envs, loops, random, runs, sets, struct
from rl_fn._src.xla.startup import import_tensorflow
