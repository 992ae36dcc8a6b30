import numpy as np
import pytest
import tensorflow as tf

from rl_fn import envs, random
from rl_fn.envs.drawing import grids, pixel_font
from rl_fn.envs.drawing.grids import BLUE, EMPTY, GREEN, LINE, ORANGE, Mark, Strip

DRAWN = {
    "Catch-bsuite": {},
    "DeepSea-bsuite": {"mapping_seed": None},
    "MemoryChain-bsuite": {"num_bits": 8},
    "UmbrellaChain-bsuite": {"n_distractor": 20},
    "DiscountingChain-bsuite": {},
    "ConstantReward-truncated": {},
    "FourRooms-misc": {"fail_probability": 0.0},
    "ConnectFour-v0": {},
}


def picture_of(env, state):
    return env.render(tf.nest.map_structure(lambda leaf: leaf.numpy()[0], state))


@pytest.mark.parametrize("name", DRAWN)
def test_pictures_follow_the_state(name):
    env = envs.make(name, **DRAWN[name])
    state, _ = env.reset(random.key(0), 1)
    before = picture_of(env, state)
    again = picture_of(env, state)
    state, _ = env.step(state, tf.constant([1]), random.key(1))
    after = picture_of(env, state)
    np.testing.assert_array_equal(before, again)
    assert before.dtype == after.dtype == np.uint8
    assert before.shape == after.shape
    assert 300 <= max(before.shape) <= 400
    assert not np.any(np.array(before.shape[:2]) % 2)
    assert np.any(before != after)


def test_what_pays_most_is_the_brightest_beside_the_mark():
    env = envs.make("QuadraticReward")
    picture = picture_of(env, env.reset(random.key(0), 1)[0])
    orange = np.argwhere(np.all(picture == ORANGE, axis=-1))
    row = int(orange[:, 0].mean())
    left, right = picture[row, : orange[:, 1].min() - 2], picture[row, orange[:, 1].max() + 2 :]
    assert left[-3:].max() > left[20:30].max()
    assert right[:3].max() > right[-30:-20].max()
    assert not np.any(np.array(picture.shape[:2]) % 2)


def test_the_bandit_shows_what_its_arms_pay():
    env = envs.make("SimpleBandit-bsuite", num_arms=3)
    picture = picture_of(env, env.reset(random.key(0), 1)[0])
    blue, orange = (np.all(picture == color, axis=-1).sum() for color in (grids.SKY_BLUE, ORANGE))
    assert orange == 2 * blue  # 0.5 and 1
    assert picture.shape[1] == grids.PIXELS


def test_long_chains_and_many_cells_fit():
    for name, arguments in {
        "MemoryChain-bsuite": {"num_bits": 200, "memory_length": 1},
        "UmbrellaChain-bsuite": {"n_distractor": 500, "chain_length": 10_000},
        "SimpleBandit-bsuite": {"num_arms": 300},
        "DeepSea-bsuite": {"size": 200},
    }.items():
        env = envs.make(name, **arguments)
        picture = picture_of(env, env.reset(random.key(3), 1)[0])
        assert picture.shape[1] <= 2 * grids.PIXELS, name


def test_channels_that_share_a_cell_are_nested():
    channels = np.zeros((4, 6, 3), bool)
    channels[1, 2] = [True, False, True]
    channels[3, 5] = [False, True, False]
    picture = grids.draw_channels(channels, [ORANGE, GREEN, BLUE])
    assert picture.shape == (240, 360, 3)
    np.testing.assert_array_equal(picture[90, 150], BLUE)
    np.testing.assert_array_equal(picture[90, 125], ORANGE)
    np.testing.assert_array_equal(picture[210, 330], GREEN)
    np.testing.assert_array_equal(picture[210, 305], GREEN)
    np.testing.assert_array_equal(picture[30, 30], EMPTY)
    np.testing.assert_array_equal(picture[60], np.broadcast_to(LINE, (360, 3)))


@pytest.mark.parametrize(("shape", "number"), [((3, 3, 2), 1), ((3, 3), 3)])
def test_channels_need_one_colour_each(shape, number):
    with pytest.raises(ValueError, match=r"expected \[H, W, C\] with C colors"):
        grids.draw_channels(np.zeros(shape, bool), [BLUE] * number)


def test_marks_are_in_the_middle_of_their_cells():
    colors = np.full((2, 3, 3), BLUE, np.uint8)
    picture = grids.draw_cells(colors, [Mark(1, 2, ORANGE), Mark(0, 0, GREEN, "diamond")])
    assert picture.shape == (240, 360, 3)
    np.testing.assert_array_equal(picture[180, 300], ORANGE)
    np.testing.assert_array_equal(picture[60, 60], GREEN)
    for row, column in ((60, 180), (8, 8), (130, 250)):
        np.testing.assert_array_equal(picture[row, column], BLUE)


def test_strips_wrap_and_keep_their_marks():
    picture = grids.draw_strips([Strip("A", [BLUE] * 200, [Mark(0, 199, ORANGE)])])
    rows, columns = np.nonzero(np.all(picture == ORANGE, axis=-1))
    assert picture.shape == (2 * grids.STRIP_HEIGHT + 10 + 18, 360, 3)
    assert abs(rows.mean() - (28 - 6 + 48)) < 2
    assert abs(columns.mean() - (6 + 3 * 83.5)) < 2


def test_text_is_written_in_dots():
    np.testing.assert_array_equal(
        pixel_font.text_mask("T.", scale=1),
        np.array([[*"###   "], [*" #    "], [*" #    "], [*" #    "], [*" #  # "]]) == "#",
    )
    assert pixel_font.text_mask("T.", scale=3).shape == (15, 18)
    with pytest.raises(ValueError, match="no glyph for '!', 'a', there are '0123"):
        pixel_font.text_mask("A a!")
