"""Measuring in a process of its own, which begins without what others compiled and leaves the one that asks free."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent


def measured(module: str, *words: str) -> Any:
    """What a module of this folder prints in its last line, as JSON, when it is run with these words.

    Raises:
      SystemExit: if that process fails.
    """
    settings = {"PYTHONPATH": str(FOLDER.parent), "TF_CPP_MIN_LOG_LEVEL": "3", "TF_ENABLE_ONEDNN_OPTS": "0"}
    command = [sys.executable, "-m", module, *words]
    done = subprocess.run(command, cwd=FOLDER, env={**os.environ, **settings}, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{done.stderr[-5_000:]}\n{' '.join([module, *words])} ended with status {done.returncode}")
    return json.loads(done.stdout.splitlines()[-1])
