"""Five seeds of each named set on CartPole, side by side, with the set's own number of steps."""

import json

import numpy as np
import pytest

from rl_fn.cli import main


def evaluations(hparams, folder):
    main(["train", "--hparams", hparams, "--copies", "5", "--output_dir", str(folder)])
    summaries = [json.loads(path.read_text()) for path in folder.glob("run_*/summary.json")]
    assert sorted(summary["seed"] for summary in summaries) == [0, 1, 2, 3, 4]
    return [summary["eval_return_mean"] for summary in summaries]


@pytest.mark.parametrize(("hparams", "median", "minimum"), [("ppo_cartpole", 490, 400), ("dqn_cartpole", 450, 0)])
def test_solves_cartpole(hparams, median, minimum, tmp_path):
    returns = evaluations(hparams, tmp_path)
    assert np.median(returns) >= median
    assert min(returns) >= minimum
