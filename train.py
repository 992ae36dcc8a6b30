"""Trains an agent: `python train.py --hparams ppo_cartpole`; the same as `rl-fn train`."""

import runpy
from pathlib import Path

if __name__ == "__main__":
    runpy.run_path(str(Path(__file__).parent / "experiments" / "train.py"), run_name="__main__")
