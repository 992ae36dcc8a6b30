import jax
import jax.numpy as jnp
import numpy as np
import pytest
import rlax
import tensorflow as tf

from rl_fn import losses
from tests.parity.support import assert_parity

pytestmark = pytest.mark.filterwarnings("ignore::PendingDeprecationWarning")


def sizes(rng: np.random.Generator) -> tuple[int, int]:
    return int(rng.choice([1, 3, 8])), int(rng.choice([1, 2, 5]))


def logits_and_values(rng: np.random.Generator) -> tuple:
    t, a = sizes(rng)
    return 3 * rng.normal(size=(t, a)), 3 * rng.normal(size=(t, a))


def pg_args(rng: np.random.Generator) -> tuple:
    t, a = sizes(rng)
    return 3 * rng.normal(size=(t, a)), rng.integers(a, size=t), rng.normal(size=t), rng.random(t)


def entropy_args(rng: np.random.Generator) -> tuple:
    t, a = sizes(rng)
    return 3 * rng.normal(size=(t, a)), rng.random(t)


def ratio_args(rng: np.random.Generator) -> tuple:
    t, _ = sizes(rng)
    return np.exp(rng.normal(size=t)), rng.normal(size=t), np.array(0.5 * rng.random())


# rlax averages over the sequence, with weights; ours are one value per example.
# name: ours, theirs, arguments, which of them to differentiate by
AVERAGED = {
    "policy_gradient_loss": (
        lambda logits, a, adv, w: losses.policy_gradient_loss(logits, a, adv) * w,
        rlax.policy_gradient_loss,
        pg_args,
        (0, 2),
    ),
    "entropy_loss": (lambda logits, w: losses.entropy_loss(logits) * w, rlax.entropy_loss, entropy_args, (0,)),
    "qpg_loss": (losses.qpg_loss, rlax.qpg_loss, logits_and_values, (0, 1)),
    "rm_loss": (losses.rm_loss, rlax.rm_loss, logits_and_values, (0, 1)),
    "rpg_loss": (losses.rpg_loss, rlax.rpg_loss, logits_and_values, (0, 1)),
    "qpg_loss_not_stopped": (
        lambda *args: losses.qpg_loss(*args, stop_target_gradients=False),
        lambda *args: rlax.qpg_loss(*args, use_stop_gradient=False),
        logits_and_values,
        (0, 1),
    ),
    "rm_loss_not_stopped": (
        lambda *args: losses.rm_loss(*args, stop_target_gradients=False),
        lambda *args: rlax.rm_loss(*args, use_stop_gradient=False),
        logits_and_values,
        (0, 1),
    ),
    "rpg_loss_not_stopped": (
        lambda *args: losses.rpg_loss(*args, stop_target_gradients=False),
        lambda *args: rlax.rpg_loss(*args, use_stop_gradient=False),
        logits_and_values,
        (0, 1),
    ),
    "clipped_surrogate_pg_loss": (losses.clipped_surrogate_pg_loss, rlax.clipped_surrogate_pg_loss, ratio_args, (0, 1)),
}


@pytest.mark.parametrize("name", AVERAGED)
def test_parity(name):
    ours, theirs, make_args, with_gradient = AVERAGED[name]
    assert_parity(lambda *args: tf.reduce_mean(ours(*args)), theirs, make_args, with_gradient)


@pytest.mark.parametrize("clip", [None, 1.5])
@pytest.mark.parametrize("stop", [True, False])
def test_dpg_loss(clip, stop):
    assert_parity(
        lambda a, dqda: losses.dpg_loss(a, dqda, clip, stop_target_gradients=stop),
        # rlax leaves the components of the action apart.
        jax.vmap(lambda a, dqda: jnp.sum(rlax.dpg_loss(a, dqda, clip, stop))),
        logits_and_values,
        (0, 1),
    )
