"""The losses of world models, by hand and in all modes."""

import math

import numpy as np
import pytest

from rl_fn import losses
from tests.support import assert_bfloat16, assert_gradients, assert_modes_agree, assert_refuses

RNG = np.random.default_rng(0)
B, D, Z, K = 3, 4, 2, 3
normal = lambda *shape: RNG.normal(size=shape).astype(np.float32)
KL = (normal(B, Z), normal(B, Z))
ELBO = (normal(B, D), normal(B, D), normal(B, Z), normal(B, Z), np.float32(0.5))
MIXTURE = (normal(B, Z), normal(B, Z, K), normal(B, Z, K), 0.3 * normal(B, Z, K))
CASES = {
    "standard_gaussian_kl": (losses.standard_gaussian_kl, KL),
    "variational_loss": (losses.variational_loss, ELBO),
    "mixture_log_likelihood": (losses.mixture_log_likelihood, MIXTURE),
}


def test_the_divergence_to_a_standard_gaussian_by_hand():
    # 0.5 (m^2 + v - 1 - log v): of the standard one itself, of one moved by 2, of one of variance 4, of nearly 1
    kl = losses.standard_gaussian_kl([0.0, 2.0, 0.0, 0.0], [0.0, 0.0, math.log(4.0), 1e-4])
    np.testing.assert_allclose(kl[:3], [0.0, 2.0, 0.5 * (3 - math.log(4.0))], rtol=1e-6)
    np.testing.assert_allclose(kl[3], 2.5e-9, rtol=1e-3)


def test_the_evidence_lower_bound_by_hand():
    # Errors of 1 and 0 at a deviation of 0.5: 0.5 * 4 + 2 (log 0.5 + 0.5 log 2 pi); a divergence of 2
    loss, negative_likelihood, kl = losses.variational_loss([1.0, 1.0], [0.0, 1.0], [2.0], [0.0], 0.5)
    np.testing.assert_allclose(negative_likelihood, 2 + 2 * (math.log(0.5) + 0.9189385), rtol=1e-6)
    np.testing.assert_allclose(kl, [2.0], rtol=1e-6)
    np.testing.assert_allclose(loss, negative_likelihood + 2, rtol=1e-6)
    free, _, _ = losses.variational_loss([1.0, 1.0], [0.0, 1.0], [2.0], [0.0], 0.5, 3.0)
    np.testing.assert_allclose(free, negative_likelihood + 3, rtol=1e-6)


def test_the_likelihood_of_a_mixture_by_hand():
    # One dimension is the standard Gaussian at 1, the other one of two Gaussians, mostly that of deviation 2 at 0
    logits = [[0.0, -np.inf], [math.log(3.0), 0.0]]
    mean, log_deviation = [[0.0, 9.0], [0.0, 2.0]], [[0.0, 0.0], [math.log(2.0), 0.0]]
    density = lambda x: math.exp(-0.5 * x * x) / math.sqrt(2 * math.pi)
    expected = math.log(density(1.0)) + math.log(0.75 * density(0.5) / 2 + 0.25 * density(-1.0))
    np.testing.assert_allclose(losses.mixture_log_likelihood([1.0, 1.0], logits, mean, log_deviation), expected, 1e-6)


@pytest.mark.parametrize("name", CASES)
def test_modes_gradients_and_types(name):
    function, args = CASES[name]
    assert_modes_agree(function, *args)
    assert_gradients(function, args, list(range(len(args))))
    assert_bfloat16(function, *args)


def test_free_nats_take_the_gradient_of_the_divergence_alone():
    loss = lambda inputs, reconstruction, mean, log_variance: (
        losses.variational_loss(inputs, reconstruction, mean, log_variance, 1.0, 1e3).loss
    )
    assert_gradients(loss, ELBO[:4], [0, 1])


def test_bad_inputs_are_refused_by_name():
    assert_refuses("log_variance", losses.standard_gaussian_kl, KL[0], KL[1][:, :1])
    assert_refuses("reconstruction", losses.variational_loss, ELBO[0], ELBO[1][:, :2], *KL)
    assert_refuses("deviation holds 0", losses.variational_loss, *ELBO[:4], 0.0)
    assert_refuses("logits", losses.mixture_log_likelihood, MIXTURE[0], MIXTURE[1][:, :1], *MIXTURE[2:])
