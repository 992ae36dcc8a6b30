"""Workers that share each step, processes of Ray, come to what one process comes to, also where one of them dies."""

import contextlib
import os
import signal

import numpy as np
import pytest
import ray

from rl_fn import envs, loops, random, sets, struct
from rl_fn.runs import Run, RunConfig
from rl_fn.runs.local import Local
from rl_fn.runs.synchronous import Synchronous

PPO = "num_envs=4,rollout_length=4,hidden_sizes=(8,),num_epochs=1,num_minibatches=2,normalize_observations=True"
REPLAY = "learning_starts=32,batch_size=16,replay_capacity=300,gradient_steps=2"
DQN = f"num_envs=4,rollout_length=2,hidden_sizes=(8,),{REPLAY}"


@pytest.fixture(scope="module")
def connect():
    quiet = {"configure_logging": False, "log_to_driver": False, "include_dashboard": False}
    ray.init("local", num_cpus=2, num_gpus=0, object_store_memory=10**8, _node_ip_address="127.0.0.1", **quiet)
    yield lambda: contextlib.nullcontext(ray)
    ray.shutdown()


def leaves(held):
    return [(name, leaf.numpy()) for name, leaf in struct.named_leaves(held.read())]


@pytest.mark.parametrize(
    ("hparams", "override", "dies"), [("ppo_cartpole", PPO, True), ("dqn_cartpole", DQN, False)], ids=["ppo", "dqn"]
)
def test_two_workers_come_to_what_one_does(hparams, override, dies, connect, tmp_path):
    config = RunConfig(hparams=hparams, output_dir=tmp_path, hparam_override=override, train_steps=4_000).resolved()
    env = envs.make("CartPole-v1")
    agent = sets.agent_module(config.agent).make(env.spec, config.make_hparams())
    start = loops.init_state(agent, env, random.key(3))
    one = loops.compile(loops.train_step(agent, env), start)
    one.run(200)
    runner = Synchronous(agent, env, Local(agent, env, env, 1, 1), config, 2, connect)
    two = runner.compile(start)
    done, killed = 0, False
    for chunk in runner.train(two, 200, max_chunk=70):
        done = chunk.iteration
        if dies and done < 200 and not killed:
            os.kill(runner.others[0].pid(), signal.SIGKILL)
            killed = True
    runner.close()
    assert (done, killed) == (200, dies)
    for (name, expected), (_, actual) in zip(leaves(one), leaves(two), strict=True):
        np.testing.assert_allclose(actual, expected, rtol=1e-4, atol=1e-5, err_msg=name)


def test_a_run_with_sync_is_that_of_one_process(connect, tmp_path):
    settings = {"hparams": "ppo_cartpole", "hparam_override": PPO, "train_steps": 640, "eval_episodes": 2}
    kept = []
    for name, more in {"one": {}, "two": {"num_workers": 2, "sync": True}}.items():
        with Run.from_config(RunConfig(output_dir=tmp_path / name, **settings, **more)) as run:
            assert len(list(run)) > 0
            kept.append(run.leaves(lambda leaf: "params" in leaf))
    for name, leaf in kept[0].items():
        np.testing.assert_allclose(kept[1][name], leaf, rtol=0, atol=1e-5, err_msg=name)


def test_what_sync_cannot_be_is_told(tmp_path):
    with pytest.raises(ValueError, match=r"^sync is True, expected num_workers of more than 1, which share each step$"):
        RunConfig(hparams="ppo_cartpole", output_dir=tmp_path, sync=True)
    with pytest.raises(ValueError, match=r"^devices is 2, expected 1 with num_workers = 2$"):
        RunConfig(hparams="ppo_cartpole", output_dir=tmp_path, devices=2, num_workers=2)
    config = RunConfig(hparams="ppo", env="gymnasium:CartPole-v1", output_dir=tmp_path, num_workers=2, sync=True)
    with pytest.raises(ValueError, match=r"^num_workers is 2, expected 1 with sync: .*CartPole-v1 is stepped on the"):
        Run.from_config(config)
