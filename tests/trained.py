"""A run that has come to its end, for whatever is done with runs afterwards."""

import pytest

from rl_fn import runs

SMALL = "num_envs=4,rollout_length=16,hidden_sizes=(16,),num_minibatches=1"


@pytest.fixture(scope="session")
def trained(tmp_path_factory):
    """Two copies of PPO."""
    folder = tmp_path_factory.mktemp("trained")
    config = runs.RunConfig(
        "ppo_cartpole",
        folder,
        hparam_override=SMALL,
        train_steps=640,
        copies=2,
        eval_episodes=2,
        checkpoint_seconds=0.0,
    )
    list(runs.Run.from_config(config))
    return folder
