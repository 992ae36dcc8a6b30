"""What agents make of the steps of a half-trained run, for `make test-learning`: more than these came to."""

import json

import numpy as np
import pytest

from rl_fn.commands import main
from rl_fn.runs import datasets

GOOD = -150.0  # of sac_pendulum


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    main(["train", "--hparams", "sac_pendulum", "--train_steps", "2500", "--output_dir", str(folder / "run")])
    return folder / "data", datasets.record(folder / "run", folder / "data", steps=100_000)


@pytest.mark.parametrize("name", ["iql_pendulum", "cql_pendulum", "td3bc_pendulum"])
def test_goes_half_of_the_way_from_the_data_to_a_good_policy(name, recorded, tmp_path):
    data, mean = recorded
    main(["train", "--hparams", name, "--dataset", str(data), "--copies", "5", "--output_dir", str(tmp_path)])
    returns = [json.loads(path.read_text())["eval_return_mean"] for path in tmp_path.glob("run_*/summary.json")]
    assert np.median(returns) >= (mean + GOOD) / 2
