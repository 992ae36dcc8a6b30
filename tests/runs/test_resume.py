"""Every agent goes on from a checkpoint with the bits that it would have had."""

import dataclasses
import shutil

import pytest

from rl_fn import sets
from rl_fn.runs import Run, RunConfig
from rl_fn.sets import modules

REPLAY = "hidden_sizes=(16,),learning_starts=64,gradient_steps=2,replay_capacity=700"
SMALL = {
    "ppo_cartpole": "rollout_length=16,hidden_sizes=(16,)",
    "dqn_cartpole": REPLAY,
    "pqn_cartpole": "hidden_sizes=(16,),num_envs=4,rollout_length=8,num_minibatches=2",
    "r2d2_memory_chain": f"{REPLAY},num_envs=4,memory_units=8,stream_sizes=(8,),sequence_length=4,burn_in=2",
    "dreamer_cartpole": "size=0.1m,learning_starts=64,gradient_steps=1,replay_capacity=704,rollout_length=16,"
    "num_bins=9,horizon=2,batch_size=2,sequence_length=4",
    "bootstrapped_deep_sea": f"{REPLAY},num_heads=2",
    "rainbow_cartpole": "hidden_sizes=(16,),stream_sizes=(16,),num_atoms=5,learning_starts=64,replay_capacity=700",
    "impala_cartpole": "hidden_sizes=(16,)",
    "sac_pendulum": "hidden_sizes=(16,),learning_starts=64,replay_capacity=700",
    "td3_pendulum": "hidden_sizes=(16,),learning_starts=64,replay_capacity=700",
    "crossq_pendulum": "hidden_sizes=(16,),learning_starts=64,replay_capacity=700,critic_sizes=(16,)",
    "ddpg_pendulum": "hidden_sizes=(16,),learning_starts=64,replay_capacity=700,noise_damping=0.2",
    "mpo_pendulum": "hidden_sizes=(16,),learning_starts=64,replay_capacity=700,num_samples=2",
    "ppg_cartpole": "rollout_length=16,hidden_sizes=(16,),policy_phase=3",
    "vmpo_cartpole": "rollout_length=16,hidden_sizes=(16,)",
    "vpg_cartpole": "rollout_length=16,hidden_sizes=(16,)",
    "alphazero_tictactoe": f"{REPLAY},num_simulations=4,num_envs=8,rollout_length=4,batch_size=8",
    "muzero_catch": f"{REPLAY},num_simulations=4,n_step=2,unroll_steps=2,model_sizes=(16,),batch_size=8",
    "world_models_pendulum": (
        "rollout_length=10,num_envs=4,recording_rows=20,stage_shares=(1,1,1,1),image_size=8,features=(2,),latent_size=2,"
        "vision_steps=1,vision_batch=2,memory_units=2,memory_steps=1,memory_batch=2,sequence_length=3,population=4,"
        "generations=1,dream_starts=2,dream_length=3,warm_up=1,mixture_components=2"
    ),
    "ppo_recurrent_memory_chain": "memory_units=8,hidden_sizes=(16,),rollout_length=16,sequence_length=8",
}
# Their states are those of another agent, and so are their updates.
LIKE_OTHERS = {
    "a2c",
    "appo",
    "dpo",
    "rnd",
    "trpo",
    "c51",
    "fqf",
    "iqn",
    "munchausen",
    "qrdqn",
    "d4pg",
    "droq",
    "redq",
    "tqc",
}

# See test_datasets.py.
OFFLINE = {named.agent for named in sets.SETS.values() if sets.make(named).schedule.is_offline}


def test_every_agent_is_here():
    there = {sets.SETS[name].agent for name in SMALL} | LIKE_OTHERS | OFFLINE
    assert there == {named.agent for named in sets.SETS.values() if modules.is_ours(named.agent)}


@pytest.mark.parametrize("hparams", SMALL)
def test_resumed_gives_the_same_bits(hparams, tmp_path):
    config = RunConfig(
        hparams=hparams,
        output_dir=tmp_path / "whole",
        hparam_override=SMALL[hparams],
        train_steps=2_000,
        eval_episodes=0,
        checkpoint_seconds=0.0,
    )
    whole = Run.from_config(config)
    for report in whole:
        if not (tmp_path / "part").exists() and report.env_steps >= 1_000:
            shutil.copytree(tmp_path / "whole", tmp_path / "part")  # as a process that was killed here leaves it
            left = report.iteration
    part = Run.from_config(dataclasses.replace(config, output_dir=tmp_path / "part"))
    part.start()
    assert part.iteration == left < whole.iteration
    assert len(list(part)) > 0
    assert part.summary["state_digest"] == whole.summary["state_digest"]
