"""Several devices that share a run come to what one device comes to; on logical CPUs, in a process of their own."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from rl_fn import random
from rl_fn._src import shards

TINY = "num_envs=4,rollout_length=4,hidden_sizes=[8],train_steps={steps}"
