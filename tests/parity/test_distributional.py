import jax
import jax.numpy as jnp
import numpy as np
import pytest
import rlax

from rl_fn import losses
from tests.parity.support import assert_parity

WITH_TARGETS = {"stop_target_gradients": False}
pytestmark = pytest.mark.filterwarnings("ignore::PendingDeprecationWarning")


def sizes(rng: np.random.Generator) -> tuple[int, int, int, int]:
    """Of the batch, of the actions, and of two supports."""
    return [(1, 1, 2, 2), (6, 3, 11, 5), (5, 2, 4, 9)][rng.integers(3)]


def atoms(rng: np.random.Generator, size: int) -> np.ndarray:
    return np.cumsum(rng.uniform(0.1, 1.0, size)) - size / 4


def project_args(rng: np.random.Generator) -> tuple:
    b, _, k, j = sizes(rng)
    return 2 * rng.normal(size=(b, j)), rng.dirichlet(np.ones(j), b), atoms(rng, k)


def categorical_td_args(rng: np.random.Generator) -> tuple:
    b, _, k, j = sizes(rng)
    logits_tm1, logits_t = rng.normal(size=(b, k)), rng.normal(size=(b, j))
    return atoms(rng, k), logits_tm1, rng.normal(size=b), rng.random(b), atoms(rng, j), logits_t


def categorical_q_args(rng: np.random.Generator) -> tuple:
    b, a, k, j = sizes(rng)
    logits_tm1, logits_t = rng.normal(size=(b, a, k)), rng.normal(size=(b, a, j))
    a_tm1 = rng.integers(a, size=b)
    return atoms(rng, k), logits_tm1, a_tm1, rng.normal(size=b), rng.random(b), atoms(rng, j), logits_t


def categorical_double_q_args(rng: np.random.Generator) -> tuple:
    args = categorical_q_args(rng)
    return *args, rng.normal(size=args[1].shape[:2])


def quantile_args(rng: np.random.Generator) -> tuple:
    b, _, n, m = sizes(rng)
    return rng.normal(size=(b, n)), rng.random((b, n)), rng.normal(size=(b, m))


def quantile_q_args(rng: np.random.Generator) -> tuple:
    b, a, n, m = sizes(rng)
    dist_tm1, selector, dist_t = (rng.normal(size=(b, size, a)) for size in (n, n, m))
    tau, a_tm1 = rng.random((b, n)), rng.integers(a, size=b)
    return dist_tm1, tau, a_tm1, rng.normal(size=b), rng.random(b), selector, dist_t


def quantile_sarsa_args(rng: np.random.Generator) -> tuple:
    dist_tm1, tau, a_tm1, r_t, discount_t, _, dist_t = quantile_q_args(rng)
    return dist_tm1, tau, a_tm1, r_t, discount_t, dist_t, rng.dirichlet(np.ones(dist_t.shape[-1]), len(r_t))


CATEGORICAL = {
    "categorical_td_learning": (categorical_td_args, (None, 0, 0, 0, None, 0), (0, 1, 2, 3, 4, 5)),
    "categorical_q_learning": (categorical_q_args, (None, 0, 0, 0, 0, None, 0), (1, 3, 4, 6)),
    "categorical_double_q_learning": (categorical_double_q_args, (None, 0, 0, 0, 0, None, 0, 0), (1, 3, 4, 6)),
}
QUANTILE = {
    "quantile_regression_loss": (quantile_args, (0, 1)),
    "quantile_q_learning": (quantile_q_args, (0, 1, 3, 4, 6)),
    "quantile_expected_sarsa": (quantile_sarsa_args, (0, 1, 3, 4, 5, 6)),
}


def test_parity_of_the_projection():
    assert_parity(
        losses.categorical_l2_project, rlax.categorical_l2_project, project_args, (0, 1, 2), batched_axes=(0, 0, None)
    )


@pytest.mark.parametrize("name", CATEGORICAL)
def test_parity_of_categorical_losses(name):
    make_args, axes, with_gradient = CATEGORICAL[name]
    assert_parity(getattr(losses, name), getattr(rlax, name), make_args, with_gradient, batched_axes=axes)


def test_parity_of_the_gradient_of_the_categorical_target():
    def theirs(v_atoms_tm1, v_logits_tm1, r_t, discount_t, v_atoms_t, v_logits_t):
        # rlax.categorical_td_learning itself has NaN gradients where an atom of the target has probability zero.
        target = rlax.categorical_l2_project(r_t + discount_t * v_atoms_t, jax.nn.softmax(v_logits_t), v_atoms_tm1)
        return -jnp.sum(target * jax.nn.log_softmax(v_logits_tm1))

    ours = lambda *args: losses.categorical_td_learning(*args, stop_target_gradients=False)
    make_args, axes, _ = CATEGORICAL["categorical_td_learning"]
    assert_parity(ours, theirs, make_args, (0, 1, 2, 3, 4, 5), batched_axes=axes)


@pytest.mark.parametrize("name", QUANTILE)
@pytest.mark.parametrize("huber_param", [0.0, 0.7])
def test_parity_of_quantile_losses(name, huber_param):
    make_args, with_gradient = QUANTILE[name]
    for keywords, cases in (({}, 200), (WITH_TARGETS, 20)):
        ours = lambda *args, k=keywords: getattr(losses, name)(*args, huber_param=huber_param, **k)
        theirs = lambda *args, k=keywords: getattr(rlax, name)(*args, huber_param=huber_param, **k)
        assert_parity(ours, theirs, make_args, with_gradient, batched_axes=0, cases=cases)


def test_parity_of_the_gradient_of_the_target_samples():
    # There, the function itself never stops this gradient.
    ours = lambda *args: losses.quantile_regression_loss(*args, huber_param=0.7, stop_target_gradients=False)
    theirs = lambda *args: rlax.quantile_regression_loss(*args, huber_param=0.7)
    assert_parity(ours, theirs, quantile_args, (0, 1, 2), batched_axes=0)
