"""What is known of Atari and Procgen without their packages."""

import importlib.util

import pytest

from rl_fn import envs
from rl_fn.envs import registry
from rl_fn.envs.host import atari, procgen


def test_a_missing_emulator_is_named(monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "ale_py" else find(name))
    with pytest.raises(ValueError, match=r'pip install "rl-fn\[atari\]"'):
        envs.make("ALE/Pong-v5")


def test_atari_names_are_known_without_the_emulator():
    for name in ("ALE/Pong-v5", "PongNoFrameskip-v4", "PongDeterministic-v0"):
        assert atari.is_atari(name)
    for name in ("CartPole-v1", "Ant-v5", "MinAtar/Breakout-v1", "Pong-v4"):
        assert not atari.is_atari(name)


def test_arguments_with_which_a_policy_is_judged():
    for name in ("ALE/Pong-v5", "atari:Pong-v4", "procgen:coinrun", "envpool:Pong-v5"):
        assert registry.for_evaluation(name) == {"evaluation": True}
    for name in ("CartPole-v1", "gym:CartPole-v1"):
        assert registry.for_evaluation(name) == {}
    assert registry.for_evaluation("gymnasium:CartPole-v1") == {"training_limit": None}
    arguments = atari.envpool_arguments(evaluation=True, episodic_life=True, noop_max=3)
    assert (arguments["episodic_life"], arguments["reward_clip"], arguments["noop_max"]) == (False, False, 3)
    assert atari.envpool_arguments(episodic_life=True)["episodic_life"]


def test_procgen_tasks():
    assert procgen.envpool_task("coinrun") == "CoinrunEasy-v0"
    assert procgen.envpool_task("starpilot", "extreme") == "StarpilotExtreme-v0"
    for arguments, message in [
        ({"game": "coinru"}, "unknown Procgen game 'coinru'; the nearest is 'coinrun'"),
        ({"game": "coinrun", "distribution_mode": "extreme"}, "'extreme', coinrun has: easy, hard, exploration"),
        ({"game": "coinrun", "num_levels": -1}, "num_levels is -1, expected 0 to"),
    ]:
        with pytest.raises(ValueError, match=message):
            procgen.procgen_env(**arguments)
