import numpy as np
import pytest
import rlax

from rl_fn import losses
from tests.parity.support import assert_parity


def batch(rng: np.random.Generator) -> tuple[int, int]:
    return int(rng.choice([1, 3, 8])), int(rng.choice([1, 2, 5]))


def q_args(rng: np.random.Generator) -> tuple:
    b, a = batch(rng)
    return rng.normal(size=(b, a)), rng.integers(a, size=b), rng.normal(size=b), rng.random(b), rng.normal(size=(b, a))


CASES = {
    "q_learning": (losses.q_learning, rlax.q_learning, q_args, (0, 4)),
}


@pytest.mark.parametrize("name", CASES)
def test_parity(name):
    ours, theirs, make_args, with_gradient = CASES[name]
    assert_parity(ours, theirs, make_args, with_gradient, batched_axes=0)
