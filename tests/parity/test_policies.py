"""Densities, probabilities and divergences against rlax; draws differ, since the random bits do."""

import jax
import numpy as np
import pytest
import rlax
import tensorflow as tf

from rl_fn import policies, random
from tests.parity.support import assert_parity

pytestmark = pytest.mark.filterwarnings("ignore::PendingDeprecationWarning")


def sizes(rng: np.random.Generator) -> tuple[int, int]:
    return int(rng.choice([1, 3, 8])), int(rng.choice([1, 2, 5]))


def discrete_args(rng: np.random.Generator) -> tuple:
    b, a = sizes(rng)
    return 3 * rng.normal(size=(b, a)), rng.integers(a, size=b), 3 * rng.normal(size=(b, a))


def tied_args(rng: np.random.Generator) -> tuple:
    b, a = sizes(rng)
    return np.round(rng.normal(size=(b, a))), np.array(rng.random())


def gaussian_args(rng: np.random.Generator) -> tuple:
    shape = sizes(rng)
    return (*rng.normal(size=(3, *shape)), *(0.1 + rng.random((2, *shape))))


def softmax_by_rlax(logits, a, other):
    distribution = rlax.softmax()
    return (
        distribution.probs(logits),
        distribution.logprob(a, logits),
        distribution.entropy(logits),
        distribution.kl(logits, other),
    )


def our_softmax(logits, a, other):
    p = policies.categorical(logits)
    probs = policies.boltzmann_probs(logits, 1.0)
    return probs, p.log_prob(a), p.entropy(), p.kl_divergence(policies.categorical(other))


def gaussian_by_rlax(x, mean, other_mean, stddev, other_stddev):
    distribution = rlax.gaussian_diagonal()
    return (
        distribution.logprob(x, mean, stddev),
        distribution.entropy(mean, stddev),
        distribution.kl(mean, stddev, other_mean, other_stddev),
    )


def our_gaussian(x, mean, other_mean, stddev, other_stddev):
    p = policies.gaussian(mean, stddev)
    return p.log_prob(x), p.entropy(), p.kl_divergence(policies.gaussian(other_mean, other_stddev))


LOW, HIGH = -0.5, 2.0


class Bounds:
    minimum, maximum = LOW, HIGH


def squashed_by_rlax(x, mean, _, spread, __):
    """rlax bounds mean and standard deviation by functions of its own; the distribution is the same."""
    action = LOW + (HIGH - LOW) * (np.tanh(1.0) * jax.numpy.tanh(x) + 1) / 2
    return rlax.squashed_gaussian().logprob(action, mean, spread, Bounds)


def our_squashed(x, mean, _, spread, __):
    stddev = tf.exp(-4 + 2 * (tf.tanh(spread) + 1))
    distribution = policies.squashed_gaussian(tf.tanh(mean), stddev, LOW, HIGH)
    return policies.squashed_log_prob(distribution, tf.atanh(np.tanh(1.0) * tf.tanh(x)))


CASES = {
    "softmax": (our_softmax, softmax_by_rlax, discrete_args, (0, 2)),
    "boltzmann_probs": (
        lambda logits, t: policies.boltzmann_probs(logits, t + 0.1),
        lambda logits, t: rlax.softmax(t + 0.1).probs(logits),
        tied_args,
        (0, 1),
    ),
    "greedy_probs": (lambda q, _: policies.greedy_probs(q), lambda q, _: rlax.greedy().probs(q), tied_args, ()),
    "epsilon_greedy_probs": (
        policies.epsilon_greedy_probs,
        lambda q, epsilon: rlax.epsilon_greedy().probs(q, epsilon),
        tied_args,
        (1,),
    ),
    "gaussian": (our_gaussian, gaussian_by_rlax, gaussian_args, (0, 1, 2, 3, 4)),
    "squashed_gaussian": (our_squashed, squashed_by_rlax, gaussian_args, (1, 3)),
}


@pytest.mark.parametrize("name", CASES)
def test_parity(name):
    ours, theirs, make_args, with_gradient = CASES[name]
    assert_parity(ours, theirs, make_args, with_gradient)


def test_noise_is_what_rlax_adds_for_the_same_draws():
    key, jax_key = random.key(0), jax.random.PRNGKey(0)
    ours, theirs = (np.asarray(n) for n in (random.normal(key, [3]), jax.random.normal(jax_key, (3,))))
    action, last = np.float32([0.1, -0.2, 0.3]), np.float32([1.0, 2.0, -1.0])
    np.testing.assert_allclose(
        policies.add_gaussian_noise(key, action, 0.3) - 0.3 * ours,
        rlax.add_gaussian_noise(jax_key, action, 0.3) - 0.3 * theirs,
        rtol=1e-5,
    )
    np.testing.assert_allclose(
        action + policies.ornstein_uhlenbeck(key, last, None, 0.2, 0.3) - 0.3 * ours,
        rlax.add_ornstein_uhlenbeck_noise(jax_key, action, last, 0.2, 0.3) - 0.3 * theirs,
        rtol=1e-5,
    )


def test_dirichlet_noise_has_the_moments_of_rlax():
    prior = np.tile(np.float32([0.1, 0.2, 0.7]), (20_000, 1))
    ours = policies.add_dirichlet_noise(random.key(0), prior, 0.3, 0.25).numpy()
    theirs = np.asarray(rlax.add_dirichlet_noise(jax.random.PRNGKey(0), prior, 0.3, 0.25))
    np.testing.assert_allclose(ours.mean(axis=0), theirs.mean(axis=0), atol=3e-3)
    np.testing.assert_allclose(np.cov(ours.T), np.cov(theirs.T), atol=3e-4)
