"""Trains an agent: `python experiments/train.py --hparams ppo_cartpole --output_dir runs/ppo_cartpole`.

The same as `rl-fn train`.
"""

import sys

from rl_fn.commands import main

if __name__ == "__main__":
    sys.argv.insert(1, "train")
    main()
