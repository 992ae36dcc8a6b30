"""Our evolution strategy beside that of the package `cma`, number for number."""

import numpy as np
import tensorflow as tf
from cma import purecma

from rl_fn import optimizers


def test_twenty_generations_are_those_of_the_package():
    size, population, rng = 6, 9, np.random.default_rng(0)
    theirs = purecma.CMAES([0.5] * size, 0.3, popsize=population)
    theirs.params.lazy_gap_evals = 0  # eigenvalues anew in each generation
    theirs.randn = rng.normal
    strategy = optimizers.cma_es(population, 0.3)
    ours = strategy.init(tf.constant([0.5] * size, tf.float64))
    tell = tf.function(strategy.tell, jit_compile=True)
    for _ in range(20):
        candidates = np.array(theirs.ask())
        costs = np.sum(10.0 ** np.arange(size) * candidates**2, axis=1)
        theirs.tell(list(candidates), list(costs))
        ours = tell(ours, candidates, costs)
        np.testing.assert_allclose(ours.mean, theirs.xmean, rtol=1e-7, atol=1e-9)
        np.testing.assert_allclose(ours.step_size, theirs.sigma, rtol=1e-7)
        np.testing.assert_allclose(ours.covariance, np.array(theirs.C), rtol=1e-6, atol=1e-9)
        np.testing.assert_allclose(ours.step_path, theirs.ps, rtol=1e-6, atol=1e-8)
        np.testing.assert_allclose(ours.covariance_path, theirs.pc, rtol=1e-6, atol=1e-8)
    assert int(ours.generation) == 20
