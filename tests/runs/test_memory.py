"""Whether a run fits into memory: estimated without making anything."""

import pytest

from rl_fn import envs, random, sets, struct
from rl_fn.runs import RunConfig, memory
from rl_fn.runs.runner import make_runner


def parts(hparams, **settings):
    config = RunConfig(hparams=hparams, output_dir="x", **settings).resolved()
    env = envs.make(config.env)
    agent = sets.agent_module(config.agent).make(env.spec, config.make_hparams())
    return make_runner(agent, env, None, config.copies, 0).init, config, env.spec, agent.schedule


def test_the_estimate_of_a_state_is_its_size():
    init, *_ = parts("dqn_cartpole", hparam_override="replay_capacity=3000")
    leaves = [leaf.numpy() for _, leaf in struct.named_leaves(init(random.key(0)))]
    assert memory.state_bytes(init) == sum(leaf.nbytes for leaf in leaves) > 3_000 * 8 * 4


@pytest.mark.parametrize(
    ("hparams", "settings"),
    [
        ("dqn_minatar_breakout", {"hparam_override": "replay_capacity=1e9"}),
        ("dqn_minatar_breakout", {"hparam_override": "replay_capacity=1e7", "copies": 1_000}),
        ("ppo_cartpole", {"hparam_override": "rollout_length=1e9"}),
        ("ppo_cartpole", {"hparam_override": "hidden_sizes=(1000000,1000000)"}),
    ],
)
def test_what_cannot_fit_is_refused_with_the_estimate_and_what_there_is(hparams, settings):
    with pytest.raises(
        ValueError, match=r"the run needs [\d,.]+ GB of memory at least and [\d,.]+ [GM]B are available"
    ) as refused:
        memory.check(*parts(hparams, **settings))
    assert ("it takes less with a replay_capacity of less than 1" in str(refused.value)) == hparams.startswith("dqn")
    memory.check(*parts(hparams))


def test_what_there_is_counts_the_limit_of_a_container(tmp_path, monkeypatch):
    (tmp_path / "max").write_text("5000000\n")
    (tmp_path / "current").write_text("2000000\n")
    monkeypatch.setattr(memory, "_CGROUPS", ((str(tmp_path / "max"), str(tmp_path / "current")),))
    assert memory.available() == 3_000_000
    (tmp_path / "max").write_text("max\n")
    assert memory.available() > 10**8
