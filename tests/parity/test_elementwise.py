import jax.numpy as jnp
import numpy as np
import pytest
import rlax

from rl_fn import losses, updates
from tests.parity.support import assert_parity


def shape(rng: np.random.Generator) -> tuple[int, ...]:
    return [(), (1,), (5,), (2, 3), (4, 1, 2)][rng.integers(5)]


def error_args(rng: np.random.Generator) -> tuple:
    return (3 * rng.normal(size=shape(rng)),)


def pair_args(rng: np.random.Generator) -> tuple:
    return tuple(rng.normal(size=(2, *shape(rng))))


def probability_args(rng: np.random.Generator) -> tuple:
    return tuple(rng.uniform(0.01, 0.99, (2, *shape(rng))))


def index_args(rng: np.random.Generator) -> tuple:
    size = int(rng.choice([1, 4]))
    leading = shape(rng)
    return rng.normal(size=(*leading, size)), rng.integers(size, size=leading)


def nest_args(rng: np.random.Generator) -> tuple:
    new, old = rng.normal(size=(2, *shape(rng)))
    return new, old, rng.integers(7)


CASES = {
    "l2_loss": (losses.l2_loss, rlax.l2_loss, error_args, (0,)),
    "huber_loss": (lambda x: losses.huber_loss(x, 1.3), lambda x: rlax.huber_loss(x, 1.3), error_args, (0,)),
    "expectile_loss": (
        lambda *x: losses.expectile_loss(*x, 0.8, stop_target_gradients=False),
        lambda *x: rlax.expectile_loss(*x, 0.8),
        pair_args,
        (0, 1),
    ),
    "likelihood": (losses.likelihood, rlax.likelihood, probability_args, (0, 1)),
    "log_loss": (losses.log_loss, rlax.log_loss, probability_args, (0, 1)),
    "clip_gradient": (
        lambda x: losses.clip_gradient(x, -0.5, 2.0) ** 3,
        lambda x: rlax.clip_gradient(x, -0.5, 2.0) ** 3,
        error_args,
        (0,),
    ),
    "batched_index": (losses.batched_index, rlax.batched_index, index_args, (0,)),
    "batched_index_keepdims": (
        lambda *x: losses.batched_index(*x, keepdims=True),
        lambda *x: rlax.batched_index(*x, keepdims=True),
        index_args,
        (0,),
    ),
    "lhs_broadcast": (
        lambda x, _: losses.lhs_broadcast(x, np.zeros((*x.shape, 2, 1))),
        lambda x, _: rlax.lhs_broadcast(x, jnp.zeros((*x.shape, 2, 1))),
        pair_args,
        (0,),
    ),
    "conditional_update": (
        lambda new, old, step: updates.conditional_update([new], [old], step > 3),
        lambda new, old, step: rlax.conditional_update([new], [old], step > 3),
        nest_args,
        (0, 1),
    ),
    "periodic_update": (
        lambda new, old, step: updates.periodic_update([new], [old], step, 3),
        lambda new, old, step: rlax.periodic_update([new], [old], step, 3),
        nest_args,
        (0, 1),
    ),
}


@pytest.mark.filterwarnings("ignore::PendingDeprecationWarning")
@pytest.mark.parametrize("name", CASES)
def test_parity(name):
    ours, theirs, make_args, with_gradient = CASES[name]
    assert_parity(ours, theirs, make_args, with_gradient)
