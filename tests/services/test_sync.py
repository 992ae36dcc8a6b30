"""Workers that share each step, processes of Ray, come to what one process comes to, also where one of them dies."""

import contextlib
import os
import signal

import numpy as np
import pytest
import ray

from rl_fn import envs, loops, random, sets, struct
from rl_fn.runs import RunConfig
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
    runner = Synchronous(agent, env, env, config, 2, connect)
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
