"""Named sets of hyper-parameters: ours, registered ones, and those of files."""

import re
import sys
import textwrap

import numpy as np
import pytest
from gymnasium import spaces

from rl_fn import envs, sets
from rl_fn.agents.dqn import DQNHParams
from rl_fn.struct import EnvSpec

# What environments of an extra look like.
UNINSTALLED = {
    "ALE/Pong-v5": EnvSpec("Pong", spaces.Box(0, 255, (84, 84, 4), np.uint8), spaces.Discrete(6)),
    "gymnasium:HalfCheetah-v5": EnvSpec("HalfCheetah", spaces.Box(-np.inf, np.inf, (17,)), spaces.Box(-1, 1, (6,))),
    "gymnasium:Hopper-v5": EnvSpec("Hopper", spaces.Box(-np.inf, np.inf, (11,)), spaces.Box(-1, 1, (3,))),
    "gymnasium:InvertedPendulum-v5": EnvSpec("Inverted", spaces.Box(-np.inf, np.inf, (4,)), spaces.Box(-3, 3, (1,))),
    "gymnasium:LunarLanderContinuous-v3": EnvSpec("Lander", spaces.Box(-10, 10, (8,)), spaces.Box(-1, 1, (2,))),
    "gymnasium:LunarLander-v3": EnvSpec("LunarLander", spaces.Box(-10, 10, (8,)), spaces.Discrete(4)),
    "LunarLanderNoVel-v3": EnvSpec("LunarLanderNoVel", spaces.Box(-10, 10, (8,)), spaces.Discrete(4)),
    "gymnasium:ALE/Pong-v5": EnvSpec("Pong", spaces.Box(0, 255, (128,), np.uint8), spaces.Discrete(6)),
    "gymnasium:CarRacing-v3": EnvSpec(
        "CarRacing",
        spaces.Box(0, 255, (96, 96, 3), np.uint8),
        spaces.Box(np.float32([-1, 0, 0]), np.float32([1, 1, 1])),
    ),
    "procgen:coinrun": EnvSpec("CoinRun", spaces.Box(0, 255, (64, 64, 3), np.uint8), spaces.Discrete(15)),
}
# Where sets for any environment that the agent can act in are tried, if not in CartPole
IN_OTHERS = {
    **dict.fromkeys(("crossq", "mpo", "td3", "td3bc", "tqc"), "Pendulum-v1"),
    "alphazero": "TicTacToe-v0",
    "world_models": "CartPolePixels-v1",
}


def test_every_agent_of_ours_has_a_set_of_its_name():
    ours = {named.agent for named in sets.SETS.values() if sets.modules.is_ours(named.agent)}
    assert ours <= set(sets.SETS)
    assert all(sets.SETS[agent][:2] == (agent, None) for agent in ours)  # for any environment


@pytest.mark.parametrize("name", sets.SETS)
def test_every_set_makes_an_agent(name):
    named = sets.SETS[name]
    values = sets.make(named)
    spec = UNINSTALLED.get(named.env)
    if spec is None:
        spec = envs.make(named.env or IN_OTHERS.get(name, "CartPole-v1"), **named.env_kwargs).spec
    assert callable(sets.agent_module(named.agent).make(spec, values).update)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", {}),
        ("learning_rate=1e-3,num_envs=16", {"learning_rate": 1e-3, "num_envs": 16}),
        (" hidden_sizes = (64, 32) , double_q=False", {"hidden_sizes": (64, 32), "double_q": False}),
        ("hidden_sizes=[64,32],loss=l2", {"hidden_sizes": [64, 32], "loss": "l2"}),
        ("train_steps=1e5,gamma=1", {"train_steps": 100_000, "gamma": 1}),
        ("train_steps=100_000", {"train_steps": 100_000}),
    ],
)
def test_overrides_are_read(text, expected):
    assert sets.parse_overrides(text) == expected


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ("learning_rat=1e-3", "no hyper-parameter 'learning_rat'; the nearest is 'learning_rate'"),
        ("learning_rate=fast", "learning_rate is 'fast', expected a number greater than 0"),
        ("learning_rate=-1", "learning_rate is -1, expected a number greater than 0"),
        ("learning_rate=nan", "learning_rate is 'nan', expected a number"),
        ("num_envs=1.5", "num_envs is 1.5, expected an integer at least 1"),
        ("num_envs=0", "num_envs is 0, expected an integer at least 1"),
        ("gamma=1.5", "gamma is 1.5, expected a number at least 0 and at most 1"),
        ("double_q=1", "double_q is 1, expected true or false"),
        ("hidden_sizes=64", "hidden_sizes is 64, expected a tuple of positive integers"),
        ("loss=huge", "loss is 'huge', expected one of huber, l2"),
        ("learning_starts=60000", "learning_starts is 60000, expected at most replay_capacity = 50000"),
        ("gamma=0.9,gamma=0.8", "'gamma' is given twice"),
        ("gamma", "cannot read override 'gamma', expected name=value"),
        ("gamma=", "cannot read override 'gamma=', expected name=value"),
    ],
)
def test_bad_overrides_are_refused_with_what_is_allowed(overrides, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        sets.make(sets.SETS["dqn"], overrides)


def test_unknown_sets_are_refused_with_the_nearest():
    with pytest.raises(ValueError, match="unknown hyper-parameter set 'ppo_cartpol'; the nearest is 'ppo_cartpole'"):
        sets.find("ppo_cartpol")
    with pytest.raises(
        ValueError, match=r"unknown hyper-parameter set 'mine'; .*; one of your own needs --import my_pack"
    ):
        sets.find("mine")


def test_variants_go_over_the_values_of_a_set():
    both = sets.make(sets.find("dqn_cartpole-per-nstep"), "n_step=2")
    assert both == sets.make(sets.find("dqn_cartpole")).override(prioritized=True, n_step=2)
    assert sets.make(sets.find("qrdqn_cartpole-double")).double_q
    with pytest.raises(ValueError, match="unknown hyper-parameter set 'pe'"):
        sets.find("dqn_cartpole-pe")
    with pytest.raises(ValueError, match="PPOHParams has no hyper-parameter 'prioritized'"):
        sets.make(sets.find("ppo_cartpole-per"))
    with pytest.raises(ValueError, match="there is another variant of the name 'per'"):
        sets.register_variant("per", {"prioritized": False})
    with pytest.raises(ValueError, match="the name of a variant is 'a-b', expected letters, digits and underscores"):
        sets.register_variant("a-b", {})


@pytest.fixture
def registered(monkeypatch):
    """A table of sets that is as before afterwards."""
    monkeypatch.setattr(sets.registry, "SETS", dict(sets.SETS))
    monkeypatch.setattr(sets.lookup, "SETS", sets.registry.SETS)


@pytest.mark.usefixtures("registered")
def test_anybody_may_register_a_set():
    mine = {"agent": "dqn", "env": "CartPole-v1", "values": {"gamma": 0.9}, "doc": "Mine."}
    sets.register("mine", **mine)
    sets.register("mine", **mine)  # as a module does that is loaded again
    assert sets.make(sets.find("mine")) == DQNHParams(gamma=0.9)
    with pytest.raises(ValueError, match="there is another set of the name 'mine'"):
        sets.register("mine", agent="ppo")
    with pytest.raises(ValueError, match="the name of a set is 'a-b', expected letters, digits and underscores"):
        sets.register("a-b", agent="ppo")


def test_the_struct_is_what_make_says_of_its_hparams(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "untold.py").write_text("def make(spec, hparams): ...")
    (tmp_path / "broken.py").write_text("import no_such_package")
    assert sets.hparams_struct("dqn") is DQNHParams
    assert sets.hparams_struct("rl_fn.agents.dqn") is DQNHParams
    for agent, message in [
        ("untold", "untold.make must say what its hparams are: a subclass of HParams, given None"),
        ("broken", r"module 'broken' cannot be imported \(No module named 'no_such_package' in .*broken.py, line 1\)"),
        ("json", "json makes no agent: it has no function make"),
        ("nowhere.at_all", "unknown agent 'nowhere.at_all': expected one of .*dqn, .*ppo, .*sac, "),
    ]:
        with pytest.raises(ValueError, match=message):
            sets.hparams_struct(agent)


def written(folder, text):
    path = folder / "mine.toml"
    path.write_text(textwrap.dedent(text))
    return str(path)


def test_a_file_is_a_set(tmp_path):
    name = written(
        tmp_path,
        """
        agent = "dqn"
        env = "DeepSea-bsuite"
        env_kwargs = { size = 10 }
        doc = "A deeper sea."

        [values]
        hidden_sizes = [32, 32]
        learning_rate = 1e-4
        """,
    )
    named = sets.find(name)
    assert (named.agent, named.env, named.env_kwargs, named.doc) == (
        "dqn",
        "DeepSea-bsuite",
        {"size": 10},
        "A deeper sea.",
    )
    assert sets.make(named, "gamma=0.9") == DQNHParams(hidden_sizes=(32, 32), learning_rate=1e-4, gamma=0.9)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("agent", "mine.toml cannot be read: Expected '=' after a key"),
        ('env = "CartPole-v1"', "mine.toml names no agent"),
        ('agent = "dqn"\nvalue = {}', "mine.toml has 'value'; the nearest is 'values', there are: agent, env,"),
        ('agent = "dqn"\nvalues = 3', "mine.toml: values is 3, expected a table"),
        ("agent = 3", "mine.toml: agent is 3, expected a text"),
        (
            'agent = "dqn"\nenv = "gym:this:Nope-v0"',
            "mine.toml names the module 'this', which is imported only if you name it, too: --import this",
        ),
        (
            'agent = "this"',
            "mine.toml names the module 'this', which is imported only if you name it, too: --import this",
        ),
    ],
)
def test_files_that_are_no_set_are_refused(text, message, tmp_path):
    with pytest.raises(ValueError, match=re.escape(message)):
        sets.find(written(tmp_path, text))
    assert "this" not in sys.modules


def test_what_the_user_has_imported_may_be_named_in_a_file(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "named").mkdir()
    (tmp_path / "named" / "__init__.py").touch()
    (tmp_path / "named" / "agent.py").write_text("from rl_fn.agents.dqn import make")
    with pytest.raises(ValueError, match=r"names the module 'named\.agent'"):
        sets.find(written(tmp_path, 'agent = "named.agent"'))
    sets.modules.import_named(["named"])
    assert sets.hparams_struct(sets.find(written(tmp_path, 'agent = "named.agent"')).agent) is DQNHParams
