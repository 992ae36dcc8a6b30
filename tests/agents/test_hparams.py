"""Structs of hyper-parameters, those of the agents and of one's own."""

import dataclasses
import inspect
from typing import Literal

import numpy as np
import pytest
import tensorflow as tf

from rl_fn import envs, sets
from rl_fn.agents import a2c, awr, bc, dqn, dreamer, iql, ppo, r2d2, rainbow, rnd, trpo, vmpo, vpg
from rl_fn.agents.hparams import HParams, described, field
from rl_fn.struct import Scalar

STRUCTS = [sets.hparams_struct(agent) for agent in sorted({named.agent for named in sets.SETS.values()})]


# Without `from __future__ import annotations`, in this module: the types are objects and not texts.
@dataclasses.dataclass(frozen=True)
class Own(dqn.DQNHParams):
    temperature: Scalar = field(0.03, "Of the soft policy.", above=0.0)
    clip: float | None = None
    plain: float = 0.5
    kind: Literal["sum", "mean"] = "mean"
    note: str = "anything"
    table: dict[str, int] | None = None
    batch_size: int = 128


@pytest.mark.parametrize("struct", STRUCTS)
def test_every_hyperparameter_is_documented(struct):
    assert all(allowed.doc.endswith(".") for allowed in described(struct).values())


def test_a_struct_of_ones_own_is_checked_by_its_types():
    own = Own(clip=1, plain=np.float32(0.25), batch_size=np.int64(8), hidden_sizes=[np.int64(4)], table={"a": 1})
    assert (own.clip, own.plain, own.batch_size, own.hidden_sizes) == (1.0, 0.25, 8, (4,))
    assert type(own.batch_size) is int
    for values, message in [
        ({"clip": "far"}, "clip is 'far', expected a number or None"),
        ({"plain": None}, "plain is None, expected a number"),
        ({"temperature": 0.0}, "temperature is 0.0, expected a number greater than 0"),
        ({"kind": "max"}, "kind is 'max', expected one of sum, mean"),
        ({"note": 3}, "note is 3, expected a text"),
        ({"batch_size": 0}, "batch_size is 0, expected an integer at least 1"),  # as said where the field was born
        ({"batch_size": True}, "batch_size is True, expected an integer at least 1"),
    ]:
        with pytest.raises(ValueError, match=message):
            Own(**values)


def test_another_default_keeps_what_was_said_of_a_field():
    assert described(Own)["batch_size"].doc == described(dqn.DQNHParams)["batch_size"].doc
    assert described(Own)["batch_size"].default == 128


def test_types_that_only_a_function_knows_are_not_checked():
    class Local:
        pass

    @dataclasses.dataclass(frozen=True)
    class WithLocal(HParams):
        local: "Local | None" = None

    assert WithLocal(local=3).local == 3


def test_fields_without_the_decorator_are_refused():
    class Bare(HParams):
        mine: float = 0.5

    with pytest.raises(
        TypeError, match=r"Bare has mine and is no dataclass: put @dataclasses.dataclass\(frozen=True\)"
    ):
        Bare()


def test_scalars_may_be_tensors_of_any_float_type():
    for value in (tf.constant(0.5), tf.constant(0.5, tf.float64), tf.Variable(0.5)):
        assert dqn.DQNHParams(gamma=value).gamma.dtype == tf.float32
    for value, shown in [
        (tf.constant([0.5]), "gamma is"),
        (tf.constant(2.0), "gamma is"),
        (tf.constant(1), "gamma is"),
    ]:
        with pytest.raises(ValueError, match=shown):
            dqn.DQNHParams(gamma=value)


@pytest.mark.parametrize(
    ("struct", "values", "message"),
    [
        (
            rainbow.RainbowHParams,
            {"num_envs": 4, "learning_starts": 8},
            r"learning_starts is 8, expected more than .* 8",
        ),
        (rainbow.RainbowHParams, {"num_envs": 500}, r"learning_starts is 1000, expected more than .* = 1000"),
        (
            rainbow.RainbowHParams,
            {"num_envs": 1, "learning_starts": 1},
            "learning_starts is 1, expected more than .* = 2",
        ),
        (ppo.PPOHParams, {"num_minibatches": 3}, "num_minibatches is 3, expected a divisor of .* = 1024"),
        (ppo.PPOHParams, {"num_envs": 1, "rollout_length": 4}, "num_minibatches = 4 is one step per gradient step"),
        (
            a2c.A2CHParams,
            {"num_envs": 1, "rollout_length": 1, "normalize_advantages": True},
            "normalize_advantages is True, expected False .*: num_envs = 1, rollout_length = 1 is one step",
        ),
        (vpg.VPGHParams, {"num_envs": 1, "rollout_length": 1, "patience": 0}, "normalize_advantages is True"),
        (trpo.TRPOHParams, {"num_envs": 1, "rollout_length": 1, "num_minibatches": 1}, "normalize_advantages is True"),
        (
            vmpo.VMPOHParams,
            {"num_envs": 1, "rollout_length": 8, "top_fraction": 0.25},
            "top_fraction is 0.25, expected at least 0.5: one of the 2 steps of a minibatch",
        ),
        (trpo.TRPOHParams, {"memory": "gru"}, "shared_torso is False and memory is 'gru', expected False and 'none'"),
        (rainbow.RainbowHParams, {"v_min": 3.0, "v_max": 3.0}, "v_min is 3, expected less than v_max = 3"),
        (ppo.PPOHParams, {"kl_target": 0.01}, "kl_target is 0.01 and kl_cost is 0, expected a kl_cost that can adapt"),
        (
            ppo.PPOHParams,
            {"kl_target": 0.01, "kl_cost": 1.0, "num_epochs": 1, "num_minibatches": 1},
            "kl_target is 0.01 and num_epochs and num_minibatches are 1, expected more of them",
        ),
        (trpo.TRPOHParams, {"value_cost": 0.5}, "value_cost is 0.5, expected a number at least 1 and at most 1"),
        (bc.BCHParams, {"n_step": 3}, "n_step is 3, expected an integer at least 1 and at most 1"),
        (bc.BCHParams, {"gamma": 0.9}, "gamma is 0.9, expected a number at least 1 and at most 1"),
        (awr.AWRHParams, {"batch_size": 1}, "batch_size is 1 and normalize_advantages is True, expected False"),
        (rnd.RNDHParams, {"gamma": 1.0}, "gamma is 1.0, expected a number at least 0 and at most 0.9999"),
        (iql.IQLHParams, {"actor_lag": 1}, "actor_lag is 1, expected an integer at least 0 and at most 0"),
        (iql.IQLHParams, {"rollout_length": 8}, "rollout_length is 8, expected an integer at least 1 and at most 1"),
    ],
)
def test_settings_that_cannot_work_together_are_refused(struct, values, message):
    with pytest.raises(ValueError, match=message):
        struct(**values)


def test_minibatches_of_one_step_are_refused_only_where_advantages_are_normalised_over_them():
    one = {"num_envs": 1, "rollout_length": 4, "num_minibatches": 4}
    assert ppo.PPOHParams(**one, normalize_advantages=False).normalized_steps == 1
    assert trpo.TRPOHParams(**one).normalized_steps == 4
    assert vpg.VPGHParams(num_envs=1, rollout_length=1, patience=2).normalized_steps == 3


@pytest.mark.parametrize(
    ("agent", "setting", "has_it"),
    [
        ("vpg", "gae_lambda", ("a2c", "ppo", "trpo")),
        ("appo", "clip_pg_rho", ("impala",)),
        ("mpo", "target_step_size", ("td3", "ddpg")),
        ("crossq", "target_step_size", ("sac", "cql")),
    ],
)
def test_a_setting_that_an_agent_would_not_read_is_not_offered(agent, setting, has_it):
    with pytest.raises(ValueError, match=f"has no hyper-parameter '{setting}'"):
        sets.make(sets.SETS[agent], **{setting: 0.5})
    for other in has_it:
        assert getattr(sets.make(sets.SETS[other], **{setting: 0.5}), setting) == 0.5


def test_updates_that_learn_are_those_from_the_first_gradient_step_on():
    few = {"num_envs": 2, "rollout_length": 4, "train_steps": 80}  # ten updates
    assert ppo.PPOHParams(num_minibatches=1, **few).num_learning_updates == 10
    for learning_starts, updates in ((1, 10), (8, 10), (9, 9), (20, 8), (80, 1)):
        assert dqn.DQNHParams(learning_starts=learning_starts, n_step=1, **few).num_learning_updates == updates


def test_sequences_wait_for_no_steps_that_follow_them():
    assert r2d2.R2D2HParams(num_envs=16, n_step=5, learning_starts=32).min_sequences(24, 8) == 16
    assert r2d2.R2D2HParams(num_envs=16, learning_starts=1_000).min_sequences(24, 8) == 16 * 5  # from 0, 8, ... 32


def test_learning_that_could_never_start_is_refused_when_the_agent_is_made():
    few = {"num_envs": 2, "burn_in": 0, "sequence_length": 4, "sequence_period": 4, "replay_capacity": 16}
    spec = envs.make("CartPole-v1").spec
    r2d2.make(spec, r2d2.R2D2HParams(**few, learning_starts=14, batch_size=2))
    message = "learning_starts is 16, which waits for 4 items .* replay_capacity = 16: it keeps 2"
    with pytest.raises(ValueError, match=message):
        r2d2.make(spec, r2d2.R2D2HParams(**few, learning_starts=16, batch_size=2))


def test_structs_are_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        dqn.DQNHParams().gamma = 0.5


def test_iterations_reach_the_steps():
    assert ppo.PPOHParams(train_steps=1000, num_envs=3, rollout_length=100, num_minibatches=1).num_iterations == 4
    assert dqn.DQNHParams(train_steps=8, num_envs=2, rollout_length=4).num_iterations == 1


def test_a_name_of_another_library_is_answered_with_ours():
    with pytest.raises(TypeError, match="PPOHParams has no hyper-parameter 'clip_range'; here it is clip_epsilon"):
        ppo.PPOHParams(clip_range=0.2)
    with pytest.raises(TypeError, match="DQNHParams has no hyper-parameter 'lerning_rate'; the nearest is"):
        dqn.DQNHParams(lerning_rate=0.2)
    assert "clip_epsilon" in inspect.signature(ppo.PPOHParams).parameters


def test_large_limits_are_written_as_people_do():
    assert str(described(HParams)["train_steps"]) == "an integer at least 1 and at most 2**62"
    assert str(described(HParams)["actor_lag"]) == "an integer at least 0 and at most 1000"


def test_a_replay_that_does_not_always_hold_a_sequence_is_refused():
    """Of a ring of sixteen steps, three of four beginnings are behind the oldest once it is full."""
    few = {"num_envs": 1, "rollout_length": 1, "sequence_length": 16, "sequence_period": 4, "batch_size": 2}
    hparams = dreamer.DreamerHParams(**few, size="0.1m", horizon=2, replay_capacity=16, learning_starts=16)
    with pytest.raises(ValueError, match=r"learning_starts is 16, .* replay_capacity = 16: it keeps 0"):
        dreamer.make(envs.make("CartPole-v1").spec, hparams)
