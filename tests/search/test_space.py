"""What is searched: how it is written, what is searched by itself, and what is refused."""

import math

import numpy as np
import pytest

from rl_fn import sets
from rl_fn.agents.hparams import described
from rl_fn.agents.ranges import Choices, Linear, Log, around
from rl_fn.search import SearchConfig, objective, space
from rl_fn.search.best import toml, write_set

DQN = sets.make(sets.find("dqn_cartpole"))
AGENTS = sorted({named.agent for named in sets.SETS.values()})


def test_ranges_choices_and_names_alone():
    text = "learning_rate=log(1e-5,1e-2), gamma = [0.95, 0.99],hidden_sizes=[(64,64),(256,256)],n_step=linear(1,5),loss"
    rate, gamma, sizes, steps, loss = space.parse(text, DQN)
    assert rate == ("learning_rate", Log(1e-5, 1e-2), False, False)
    assert gamma == ("gamma", Choices((0.95, 0.99)), False, False)
    assert sizes == ("hidden_sizes", Choices(((64, 64), (256, 256))), False, True)
    assert steps == ("n_step", Linear(1, 5), True, True)
    assert loss == ("loss", Choices(("huber", "l2")), False, True)


def test_numbers_that_need_no_program_are_searched_by_themselves():
    found = [one.name for one in space.parse("usual", DQN)]
    assert found == [
        "learning_rate",
        "gamma",
        "max_grad_norm",
        "epsilon_final",
        "exploration_fraction",
        "target_step_size",
    ]
    assert [one.name for one in space.parse("", DQN)] == found
    assert "gamma" not in [one.name for one in space.parse("usual", DQN, fixed=["gamma"])]
    assert space.parse("usual,gamma=[0.9,0.99]", DQN)[-1].range == Choices((0.9, 0.99))
    offline = [one.name for one in space.parse("usual", sets.make(sets.find("td3bc_pendulum")))]
    assert "actor_learning_rate" in offline
    assert "exploration_noise" not in offline  # since nobody explores
    noisy = sets.make(sets.find("noisy_dqn_cartpole"))  # whose epsilon is 0, which no logarithm has
    assert "epsilon_final" not in [one.name for one in space.parse("usual", noisy)]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("learning_rat", "nearest is 'learning_rate'"),
        ("learning_rate=log(0,1)", "above 0 for a logarithm"),
        ("learning_rate=log(1e-2,1e-5)", "the lower end first"),
        ("learning_rate=log(1e-5)", "cannot read learning_rate=log"),
        ("learning_rate=normal(0,1)", "cannot read learning_rate=normal"),
        ("learning_rate=1e-3", "cannot read learning_rate=1e-3"),
        ("learning_rate=", "cannot read 'learning_rate='"),
        ("gamma=linear(0.9,1.5)", "gamma is 1.5, expected a number at least 0 and at most 1"),
        ("gamma=linear(0.9,1e999)", "gamma is inf"),
        ("gamma=linear(nan,1)", "cannot read gamma"),
        ("gamma=[]", "gamma has no choices"),
        ("gamma=[0.9,0.9]", "names a choice twice"),
        ("gamma,gamma", "gamma is twice in space"),
        ("loss=[l3]", "loss is 'l3', expected one of huber, l2"),
        ("loss=linear(0,1)", "loss is 0"),
        ("batch_size=linear(1.5,3)", "batch_size is 1.5"),
        ("hidden_sizes=linear(1,2)", "hidden_sizes is 1"),
        ("train_steps=[10,20]", "train_steps cannot be searched: it is the length of a trial"),
        ("double_q=linear(0,1)", "double_q is 0"),
        ("seed", "unknown hyper-parameter in space 'seed'"),
        ("gamma=[" + "9" * 400 + "]", "gamma is 999"),
        ("x" * 20_000, "space has 20,000 letters"),
    ],
)
def test_what_cannot_be_is_refused_by_name(text, said):
    with pytest.raises(ValueError, match=r".") as error:
        space.parse(text, DQN)
    assert said in str(error.value)
    with pytest.raises(ValueError, match="gamma cannot be searched: it is given a value"):
        space.parse("gamma", DQN, fixed=["gamma"])
    for name in ("td3bc_pendulum", "cql_pendulum"):
        with pytest.raises(ValueError, match="noise_damping cannot be searched: it is always 1"):
            space.parse("noise_damping", sets.make(sets.find(name)))


def test_a_grid_has_all_combinations_those_of_a_program_together():
    ours = space.parse("gamma=[0.9,0.99],hidden_sizes=[(4,),(8,)],learning_rate=log(1e-4,1e-2)", DQN)
    points = space.grid(ours, 3)
    assert len(points) == 12
    assert [point["hidden_sizes"] for point in points] == [(4,)] * 6 + [(8,)] * 6
    assert [point["learning_rate"] for point in points[:3]] == pytest.approx([1e-4, 1e-3, 1e-2])
    assert space.grid(space.parse("n_step=linear(1,2)", DQN), 5) == [{"n_step": 1}, {"n_step": 2}]


def test_a_grid_of_too_many_points_is_refused_before_it_is_made():
    with pytest.raises(ValueError, match="the grid has more than 1,000,000 points"):
        space.grid(space.parse("learning_rate,gamma,max_grad_norm", DQN), 1_000)


def test_a_set_is_read_as_it_was_written_whatever_its_texts_are(tmp_path):
    run = SearchConfig("dqn_cartpole", tmp_path, env_kwargs={"size": None}).run().resolved()
    named = sets.read_toml(write_set(tmp_path / "best.toml", run, {}, "From runs/\N{SEEDLING}."))
    assert named.doc == "From runs/\N{SEEDLING}."
    assert named.env_kwargs == {}


def test_who_came_to_no_number_is_the_worst():
    assert max([math.nan, -3.0], key=objective.finite) == -3.0
    assert math.isnan(objective.score(np.array([[1.0], [2.0], [3.0], [4.0], [math.nan]])))


@pytest.mark.parametrize("agent", AGENTS)
def test_every_number_of_an_agent_has_a_usual_range_that_is_allowed(agent):
    struct = sets.hparams_struct(agent)
    for allowed in described(struct).values():
        is_number = isinstance(allowed.default, int | float) and not isinstance(allowed.default, bool)
        if not is_number or allowed.low == allowed.high or allowed.name in ("train_steps", "actor_lag"):
            continue
        assert allowed.search is not None, allowed.name
        space.parse(allowed.name, struct())
    assert space.usual(struct())


@pytest.mark.parametrize(
    ("default", "limits", "expected"),
    [
        (0.5, (0.0, 1.0), Log(0.05, 1.0)),
        (3, (1, 2**31), Log(1, 30)),
        (0.0, (0.0, 10.0), Linear(0.0, 1.0)),
        (-1.0, (-10.0, 10.0), Linear(-10.0, -0.1)),
        (1, (1, 1), None),
    ],
)
def test_a_number_without_a_range_of_its_own_is_searched_around_its_default(default, limits, expected):
    assert around(default, *limits) == expected


def test_a_score_is_the_interquartile_mean_over_seeds_and_episodes():
    assert objective.score([[0.0, 10.0], [20.0, 500.0]]) == 15.0
    assert objective.value([1.0, 2.0, 6.0], "final") == 6.0
    assert objective.value([1.0, 2.0, 6.0], "auc") == 3.0


def test_values_are_written_as_toml():
    assert [toml(value) for value in (True, 1e-5, 3, 'a "b"', (64, 64))] == [
        "true",
        "1e-05",
        "3",
        '"a \\"b\\""',
        "[64, 64]",
    ]
    assert toml({"size": 10}) == '{ "size" = 10 }'
