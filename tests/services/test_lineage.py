"""The picture of a population's lineage."""

import math

import imageio.v3
import numpy as np
import pytest

from rl_fn.search import pictures
from rl_fn.search.lineage import Row
from tests.search import tunes


def colors(path):
    """The shares of orange and of blue in a picture."""
    red, _, blue = np.moveaxis(imageio.v3.imread(path)[..., :3].astype(int), -1, 0)
    return np.mean(red > blue + 50), np.mean(blue > red + 50)


@pytest.mark.parametrize("parent", [0, 1])
def test_who_has_taken_over_is_drawn_in_orange(parent, tmp_path):
    settings = lambda member: {"decay": 0.1 + 0.1 * member, "offset": 1.0}
    rows = [
        Row(generation, member, parent if (generation, member) == (2, 0) else member, fitness, settings(member))
        for generation, fitness in ((1, -math.inf), (2, 20.0), (3, 30.0))
        for member in range(2)
    ]
    orange, blue = colors(pictures.draw_lineage(rows, tunes.SPACE, tmp_path / "pictures" / "lineage.png"))
    assert blue > 0
    assert (orange > 0) == (parent == 1)
