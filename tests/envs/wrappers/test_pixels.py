"""Pictures in place of observations."""

import numpy as np
import pytest
import tensorflow as tf

from rl_fn import envs, random
from rl_fn.envs import wrappers
from rl_fn.envs.compiled.from_pixels import paint_rooms
from rl_fn.envs.drawing import grids
from rl_fn.envs.drawing.pixels import paint_cartpole, paint_grid, paint_pendulum

EMPTY, ROD, CART = list(grids.EMPTY), list(grids.ORANGE), list(grids.SKY_BLUE)


def drawn(paint, observations):
    return np.asarray(tf.function(paint, jit_compile=True)(np.float32(observations), 64))


def test_the_rod_of_a_pendulum_points_where_it_stands():
    up, left, down = drawn(paint_pendulum, [[1, 0, 0], [0, 1, 0], [-1, 0, 0]])
    assert up.shape == (64, 64, 3)
    assert up.dtype == np.uint8
    assert up[10, 32].tolist() == ROD
    assert up[50, 32].tolist() == EMPTY
    assert left[32, 10].tolist() == ROD
    assert left[10, 32].tolist() == EMPTY
    np.testing.assert_array_equal(down, up[::-1])
    assert up[32, 32].tolist() == EMPTY  # the axle
    # The rod is 3.2 to each side of 32: its last pixel, of which the middle is 2.5 or 3.5 away, is covered in part.
    assert up[20, 29].tolist() == up[20, 34].tolist() == ROD
    assert up[20, 28].tolist() == np.round(np.float32(EMPTY) + 0.2 * (np.float32(ROD) - EMPTY)).tolist()


def test_a_cart_moves_by_less_than_a_pixel_and_its_pole_leans():
    middle, moved, leaning = drawn(paint_cartpole, [[0, 0, 0, 0], [0.024, 0, 0, 0], [0, 0, 0.2, 0]]).astype(int)
    assert middle[53, 28].tolist() == CART
    # 0.256 of a pixel to the right: the pixels at the edges 25.6 and 38.4 of the cart.
    share = lambda picture, column: (picture[53, column, 0] - EMPTY[0]) / (CART[0] - EMPTY[0])
    assert share(middle, 38) == pytest.approx(0.4, abs=0.02)
    assert share(moved, 38) == pytest.approx(0.656, abs=0.02)
    assert middle[14, 32].tolist() == ROD
    assert leaning[14, 40].tolist() == ROD
    assert leaning[14, 32].tolist() == EMPTY


def test_cells_have_the_colours_of_their_channels():
    cells = np.zeros([1, 2, 3, 2], bool)
    cells[0, 0, 0, 0] = cells[0, 1, 2, 1] = cells[0, 1, 1] = True
    (picture,) = drawn(paint_grid, cells)
    assert picture[0, 0].tolist() == picture[31, 20].tolist() == list(grids.SKY_BLUE)
    assert picture[63, 63].tolist() == list(grids.ORANGE)
    assert picture[63, 32].tolist() == [158, 170, 116]  # the mean of both, 116.5 to the even number
    assert picture[0, 63].tolist() == EMPTY
    # The edge between the columns is at 21 1/3.
    assert picture[0, 21].tolist() == np.round(np.float32(EMPTY) + (np.float32(CART) - EMPTY) / 3).tolist()


def test_rooms_show_walls_agent_and_goal():
    (picture,) = drawn(paint_rooms, [[4, 1, 8, 9]])
    assert picture[22, 7].tolist() == list(grids.ORANGE)
    assert picture[41, 46].tolist() == list(grids.GREEN)
    assert picture[1, 1].tolist() == list(grids.SKY_BLUE)
    assert picture[22, 20].tolist() == EMPTY


@pytest.mark.parametrize("name", ["Pendulum-v1", "Catch-bsuite"])
def test_the_picture_is_that_of_the_observation_also_at_an_end(name):
    task, version = name.split("-")
    seen, full = envs.make(f"{task}Pixels-{version}"), envs.make(name)
    paint = paint_pendulum if name == "Pendulum-v1" else paint_grid
    assert seen.spec.observation_space.shape == (64, 64, 3)
    assert seen.spec.action_space == full.spec.action_space
    state, picture = seen.reset(random.key(0), 3)
    full_state, observation = full.reset(random.key(0), 3)
    np.testing.assert_array_equal(picture, paint(observation, 64))
    action = np.zeros([3, *full.spec.action_space.shape], full.spec.action_space.dtype)
    step = tf.function(seen.step, jit_compile=True, autograph=False)
    for index in range(9):
        state, outcome = step(state, action, random.key(index))
        full_state, expected = full.step(full_state, action, random.key(index))
        for field in ("observation", "next_observation"):
            ours, wanted = getattr(outcome, field).numpy().astype(int), paint(getattr(expected, field), 64)
            assert np.abs(ours - wanted).max() <= 1  # of rounding, in another order of the same arithmetic
        np.testing.assert_allclose(outcome.reward, expected.reward, rtol=1e-5)
    if name == "Catch-bsuite":  # nine steps are an episode: the first picture of the next is another
        assert np.any(outcome.observation != outcome.next_observation)
    one = seen.render(tf.nest.map_structure(lambda leaf: leaf[0].numpy(), state))
    np.testing.assert_array_equal(one[::6, ::6], outcome.observation[0])


def test_what_cannot_be_drawn_is_refused():
    with pytest.raises(ValueError, match="pixels cannot draw Acrobot-v1, expected Pendulum-v1, CartPole-v1, a grid"):
        wrappers.pixels(envs.make("Acrobot-v1"))
    with pytest.raises(ValueError, match="pixels: size is 0, expected an integer"):
        wrappers.pixels(envs.make("Pendulum-v1"), size=0)
    with pytest.raises(ValueError, match="pixels: a grid has 11 channels, expected at most 10"):
        paint_grid(tf.zeros([1, 2, 2, 11]), 8)


def test_what_is_painted_is_a_picture_of_that_size():
    env = wrappers.pixels(envs.make("CartPole-v1"), lambda observation, size: tf.zeros([2, size, size, 1]), size=8)
    with pytest.raises(
        ValueError, match=r"pixels of CartPole-v1: .* is float32\[2, 8, 8, 1\], expected uint8\[2, 8, 8, 3"
    ):
        env.reset(random.key(0), 2)
