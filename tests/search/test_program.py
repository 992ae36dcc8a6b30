"""Settings side by side in one program: each copy is what it is alone, and begins anew without the others noticing."""

import numpy as np
import pytest

from rl_fn import envs
from rl_fn.search.program import Placed, Program
from tests.search import tunes

SLOW, FAST = {"decay": 0.9, "offset": 0.5}, {"decay": 0.1, "offset": 0.0}


@pytest.fixture(scope="module")
def digests():
    """What three copies came to: at first, and after the second had begun anew."""
    make = lambda settings: tunes.of(**settings)
    program = Program(make, envs.make("CartPole-v1"), ["decay", "offset"], copies=3, eval_episodes=2)
    program.place({0: Placed(SLOW, 0), 1: Placed(FAST, 0), 2: Placed(SLOW, 0)})
    assert program.advance(5)
    read = lambda: program._compiled.read(lambda state: state.agent.agent.digest).numpy()
    first = read()
    program.place({1: Placed(SLOW, 0)})
    assert program.advance(5)
    assert not program.advance(5, stop=lambda: True)
    assert program.returns().shape == (3, 2)
    assert program.trace_count == 1
    return first, read()


def test_copies_differ_by_their_settings_alone(digests):
    first, _ = digests
    assert np.array_equal(first[0], first[2])
    assert np.any(first[0] != first[1])


def test_a_copy_that_begins_anew_is_what_one_was_at_first(digests):
    first, second = digests
    np.testing.assert_array_equal(second[1], first[0])
    assert np.any(second[0] != first[0])  # it has gone on
