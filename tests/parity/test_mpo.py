import jax.numpy as jnp
import numpy as np
import pytest
import rlax
import tensorflow as tf

from rl_fn import losses
from tests.parity.support import assert_parity

EPSILON_KL, EPSILON_PER_DIMENSION = 0.1, 0.03


def positive(rng: np.random.Generator) -> np.ndarray:
    return np.array(0.1 + rng.random())


def mpo_args(rng: np.random.Generator) -> tuple:
    b, s, a = int(rng.choice([1, 4])), int(rng.choice([1, 2, 7])), int(rng.choice([1, 3]))
    log_prob, q = rng.normal(size=(2, b, s))
    kl, kl_per_dimension, alphas = rng.random(b), rng.random((b, a)), rng.random(a)
    return log_prob, q, positive(rng), kl, positive(rng), kl_per_dimension, alphas, positive(rng)


def vmpo_args(rng: np.random.Generator) -> tuple:
    b, a = int(rng.choice([2, 5, 9])), int(rng.choice([1, 3]))
    log_prob, adv = rng.normal(size=(2, b))
    kl, kl_per_dimension, alphas = rng.random(b), rng.random((b, a)), rng.random(a)
    valid = rng.random(b) < 0.7
    valid[rng.integers(b)] = True
    duals = positive(rng), kl, positive(rng), kl_per_dimension, alphas, positive(rng)
    return log_prob, adv, *duals, valid, 0.1 + rng.random(b)


def our_constraints(kl, alpha, kl_per_dimension, alphas):
    return [
        losses.KLConstraint(kl, alpha, EPSILON_KL),
        losses.KLConstraint(kl_per_dimension, alphas, EPSILON_PER_DIMENSION),
    ]


def their_constraints(kl, alpha, kl_per_dimension, alphas):
    return [
        (kl, rlax.LagrangePenalty(alpha, jnp.float64(EPSILON_KL))),
        (kl_per_dimension, rlax.LagrangePenalty(alphas, jnp.float64(EPSILON_PER_DIMENSION), per_dimension=True)),
    ]


def parts(loss, outputs):
    return [loss, outputs.policy_loss, outputs.temperature_loss, outputs.kl_loss, outputs.alpha_loss]


def our_parts(result):
    return [tf.add_n([tf.broadcast_to(part, result.kl_loss.shape) for part in result[:4]]), *result[:4], result.weights]


def test_mpo_loss():
    def ours(log_prob, q, temperature, kl, alpha, kl_per_dimension, alphas, epsilon):
        constraints = our_constraints(kl, alpha, kl_per_dimension, alphas)
        return our_parts(losses.mpo_loss(log_prob, q, temperature, epsilon, constraints))

    def theirs(log_prob, q, temperature, kl, alpha, kl_per_dimension, alphas, epsilon):
        constraints = their_constraints(kl, alpha, kl_per_dimension, alphas)
        penalty = rlax.LagrangePenalty(temperature, epsilon)
        loss, outputs = rlax.mpo_loss(log_prob, q, penalty, constraints, sample_axis=-1)
        return [*parts(loss, outputs), outputs.normalized_weights]

    # rlax lets the temperature's loss train the action values; ours does not, and they are no policy's parameters.
    assert_parity(ours, theirs, mpo_args, (0, 2, 3, 4, 5, 6))


@pytest.mark.parametrize("top_fraction", [0.5, 1.0])
def test_vmpo_loss(top_fraction):
    def ours(log_prob, adv, temperature, kl, alpha, kl_per_dimension, alphas, epsilon, valid, importance):
        constraints = our_constraints(kl, alpha, kl_per_dimension, alphas)
        return our_parts(
            losses.vmpo_loss(log_prob, adv, temperature, epsilon, constraints, top_fraction, valid, importance)
        )

    def theirs(log_prob, adv, temperature, kl, alpha, kl_per_dimension, alphas, epsilon, valid, importance):
        loss, outputs = rlax.vmpo_loss(
            log_prob,
            adv,
            rlax.LagrangePenalty(temperature, epsilon),
            their_constraints(kl, alpha, kl_per_dimension, alphas),
            restarting_weights=valid.astype(adv.dtype),
            importance_weights=importance,
            top_k_fraction=top_fraction,
        )
        return [*parts(loss, outputs), outputs.normalized_weights]

    assert_parity(ours, theirs, vmpo_args, (0, 2, 3, 4, 5, 6))
