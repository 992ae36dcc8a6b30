"""Catch, DeepSea and FourRooms: what their rules say, worked out by hand."""

import numpy as np
import pytest
import scipy.stats

from rl_fn import envs, random
from rl_fn.envs.compiled import four_rooms
from tests.envs.episodes import play

MANY = 20_000
MOVES = ((-1, 0), (0, 1), (1, 0), (0, -1))  # row and column, by action


def assert_uniform(values, number):
    counts = np.bincount(values, minlength=number)
    assert len(counts) == number
    assert scipy.stats.chisquare(counts).pvalue > 1e-4


def within(frequency, p):
    """Whether a frequency over MANY draws is within five standard deviations of its probability."""
    return abs(frequency - p) <= 5 * np.sqrt(p * (1 - p) / MANY)


def test_catch_pays_for_a_paddle_below_the_ball():
    actions = np.tile(np.arange(96) % 3, (7, 1))  # to the left, in the middle, to the right
    first, steps = play(envs.make("Catch-bsuite", rows=4, columns=3), actions)
    ball = first[:, 0].argmax(axis=1)
    assert set(ball) == {0, 1, 2}
    np.testing.assert_array_equal(first.sum(axis=(1, 2)), 2)
    np.testing.assert_array_equal(first[:, 3, 1], 1)
    np.testing.assert_array_equal(np.flatnonzero(steps.terminated[:, 0]), [2, 5])
    np.testing.assert_array_equal(steps.reward[:2], 0)
    np.testing.assert_array_equal(steps.reward[2], np.where(ball == actions[0], 1, -1))
    for t, row in enumerate([1, 2, 3]):
        expected = np.zeros((96, 4, 3))
        expected[range(96), row, ball] = expected[range(96), 3, actions[0]] = 1
        np.testing.assert_array_equal(steps.next_observation[t], expected)
    np.testing.assert_array_equal(steps.observation[2].sum(axis=(1, 2)), 2)
    np.testing.assert_array_equal(steps.observation[2, :, 3, 1], 1)


def test_catch_drops_the_ball_anywhere():
    _, first = envs.make("Catch-bsuite").reset(random.key(0), MANY)
    assert_uniform(first.numpy()[:, 0].argmax(axis=1), 5)


def test_deep_sea_rewards_only_the_way_to_the_right():
    first, steps = play(
        envs.make("DeepSea-bsuite", size=4, mapping_seed=None), np.array([[1, 0, t != 1] for t in range(4)])
    )
    np.testing.assert_allclose(steps.reward[:, 0], [-0.0025, -0.0025, -0.0025, 0.9975], rtol=1e-6)
    np.testing.assert_array_equal(steps.reward[:, 1], 0)
    np.testing.assert_allclose(steps.reward[:, 2], [-0.0025, 0, -0.0025, -0.0025], rtol=1e-6)
    np.testing.assert_array_equal(steps.terminated, [[False] * 3] * 3 + [[True] * 3])
    columns = [[1, 2, 3], [0, 0, 0], [1, 0, 1]]
    for case in range(3):
        assert first[case].argmax() == 0
        shown = steps.next_observation[:3, case].reshape(3, 16).argmax(axis=1)
        np.testing.assert_array_equal(
            shown, [4 * row + column for row, column in zip((1, 2, 3), columns[case], strict=True)]
        )
    np.testing.assert_array_equal(steps.next_observation[3], 0)
    np.testing.assert_array_equal(steps.observation[3], first)


def test_deep_sea_maps_actions_cell_by_cell():
    mapping = np.random.RandomState(7).binomial(1, 0.5, (10, 10))
    _, steps = play(envs.make("DeepSea-bsuite", size=10, mapping_seed=7), np.diag(mapping)[:, np.newaxis])
    np.testing.assert_allclose(steps.reward.sum(), 0.99, rtol=1e-5)


def test_stochastic_deep_sea_has_wind_and_noise():
    size = 4
    env = envs.make("DeepSea-bsuite", size=size, deterministic=False, mapping_seed=None)
    _, steps = play(env, np.ones((size, MANY), int))
    columns = steps.next_observation[:3].sum(axis=2).argmax(axis=2)  # after 1, 2 and 3 steps
    assert within(np.mean(columns[0] == 1), 1 - 1 / size)
    assert within(np.mean(columns[2] == 3), (1 - 1 / size) ** 3)
    np.testing.assert_allclose(steps.reward[:3], -0.01 / size, rtol=1e-6)
    last = steps.reward[3] + 0.01 / size
    in_corner = (columns[2] == 0) | (columns[2] == 3)
    np.testing.assert_allclose(last[~in_corner], 0, atol=1e-7)
    noise = last[in_corner] - (columns[2] == 3)[in_corner]
    assert scipy.stats.kstest(noise, "norm").pvalue > 1e-4


def test_four_rooms_has_104_cells_joined_by_four_hallways():
    assert len(four_rooms.FREE) == 104
    open_cells = {divmod(cell, four_rooms.SIZE) for cell in four_rooms.FREE.tolist()}
    reached = {(1, 1)}
    for _ in range(40):
        reached |= {(r + y, c + x) for r, c in reached for y, x in MOVES} & open_cells
    assert reached == open_cells
    for hallway in four_rooms.HALLWAYS:
        assert sum((hallway[0] + y, hallway[1] + x) in open_cells for y, x in MOVES) == 2


def test_four_rooms_ends_at_the_goal():
    up, right, down, left = range(4)
    path = [up] + 6 * [right] + 3 * [down] + 2 * [right] + 2 * [down]
    first, steps = play(envs.make("FourRooms-misc", fail_probability=0), np.array([*path, left])[:, np.newaxis])
    np.testing.assert_array_equal(first, [[4, 1, 8, 9]])
    np.testing.assert_array_equal(steps.reward[:, 0], [0] * 13 + [1, 0])
    np.testing.assert_array_equal(np.flatnonzero(steps.terminated), [13])
    np.testing.assert_array_equal(steps.next_observation[6], [[3, 7, 8, 9]])
    np.testing.assert_array_equal(steps.next_observation[13], [[8, 9, 8, 9]])
    np.testing.assert_array_equal(steps.observation[13], first)
    np.testing.assert_array_equal(steps.next_observation[14], first)  # a wall is to the left


def test_four_rooms_is_truncated_after_500_steps():
    _, steps = play(envs.make("FourRooms-misc", fail_probability=0), np.full((501, 1), 3))
    np.testing.assert_array_equal(np.flatnonzero(steps.truncated), [499])
    assert not steps.terminated.any()


@pytest.mark.parametrize("p", [1 / 3, 1.0])
def test_four_rooms_moves_elsewhere_with_the_probability_of_failure(p):
    env = envs.make("FourRooms-misc", start=(3, 3), fail_probability=p)
    _, steps = play(env, np.full((1, MANY), 1))
    for move, expected in zip(MOVES, (p / 3, 1 - p, p / 3, p / 3), strict=True):
        assert within(np.mean(np.all(steps.next_observation[0, :, :2] == np.add((3, 3), move), axis=1)), expected)


@pytest.mark.parametrize(("start", "goal"), [(None, (8, 9)), ((4, 1), None), (None, None)])
def test_four_rooms_draws_starts_and_goals_that_differ(start, goal):
    _, first = envs.make("FourRooms-misc", start=start, goal=goal).reset(random.key(0), MANY)
    drawn = {"start": first.numpy()[:, :2].astype(int), "goal": first.numpy()[:, 2:].astype(int)}
    assert np.all(np.any(drawn["start"] != drawn["goal"], axis=1))
    fixed = {"start": start, "goal": goal}
    for name, places in drawn.items():
        if fixed[name] is not None:
            np.testing.assert_array_equal(places, [fixed[name]] * MANY)
            continue
        cells = [cell for cell in four_rooms.FREE.tolist() if divmod(cell, 13) not in (start, goal)]
        assert_uniform(np.searchsorted(cells, places @ [13, 1]), len(cells))
        assert np.all(np.isin(places @ [13, 1], cells))
