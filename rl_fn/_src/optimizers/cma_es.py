"""The covariance matrix adaptation evolution strategy: a search without gradients, as pure functions."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from rl_fn import random
from rl_fn._src.scan import scan

_ROOT_STEPS = 24  # enough for eigenvalues a million times apart


class CMAState(NamedTuple):
    """A Gaussian that new candidates are drawn from, and the paths that its mean has taken."""

    mean: tf.Tensor  # [N]
    step_size: tf.Tensor  # []
    covariance: tf.Tensor  # [N, N]
    root: tf.Tensor  # [N, N]: its symmetric square root
    inverse_root: tf.Tensor  # [N, N]
    step_path: tf.Tensor  # [N]: of the mean, in coordinates in which the covariance is one
    covariance_path: tf.Tensor  # [N]: of the mean
    generation: tf.Tensor  # int32[]: of candidates that were told


class EvolutionStrategy(NamedTuple):
    """A search for the least cost in turns: `ask` for candidates, `tell` what they cost."""

    init: Callable[[tf.Tensor], CMAState]  # mean [N] -> state
    ask: Callable[[CMAState, random.Key], tf.Tensor]  # (state, key) -> candidates [population, N]
    tell: Callable[[CMAState, tf.Tensor, tf.Tensor], CMAState]  # (state, candidates, costs [population]) -> state


def cma_es(population: int, step_size: float) -> EvolutionStrategy:
    """The covariance matrix adaptation evolution strategy with positive weights.

    Hansen (2016), "The CMA evolution strategy: a tutorial", figure 6 with the parameters of table 1 but for the
    following, which are those of the author's plain implementation (`purecma` of the package `cma`): the weights are
    the positive ones, and the step size changes by the squared length of its path. The roots of the covariance come
    from products of matrices alone (Higham, 2008, "Functions of matrices", equation 6.35), which every device has and
    which vectorise over copies.

    Args:
      population: candidates per generation, at least 4.
      step_size: the standard deviation of the first candidates.

    Raises:
      ValueError: for a smaller population, or a step size that is not positive.
    """
    if population < 4:
        raise ValueError(f"cma_es: population is {population}, expected at least 4")
    if not step_size > 0:
        raise ValueError(f"cma_es: step_size is {step_size}, expected a positive number")
    parents = population // 2
    weights = math.log(population / 2 + 0.5) - np.log(np.arange(parents) + 1)
    weights = weights / weights.sum()
    mass = float(1 / np.sum(weights**2))  # the variance-effective number of parents

    def init(mean: tf.Tensor) -> CMAState:
        (size,) = mean.shape
        one, zeros = tf.eye(size, dtype=mean.dtype), tf.zeros_like(mean)
        return CMAState(mean, tf.constant(step_size, mean.dtype), one, one, one, zeros, zeros, tf.constant(0))

    def ask(state: CMAState, key: random.Key) -> tf.Tensor:
        noise = random.normal(key, [population, state.mean.shape[0]], state.mean.dtype)
        return state.mean + state.step_size * tf.matmul(noise, state.root)

    def tell(state: CMAState, candidates: tf.Tensor, costs: tf.Tensor) -> CMAState:
        size, dtype = state.mean.shape[0], state.mean.dtype
        rate_c = (4 + mass / size) / (size + 4 + 2 * mass / size)
        rate_s = (mass + 2) / (size + mass + 5)
        rate_one = 2 / ((size + 1.3) ** 2 + mass)
        rate_mu = min(1 - rate_one, 2 * (mass - 2 + 1 / mass) / ((size + 2) ** 2 + mass))
        damping = 2 * mass / population + 0.3 + rate_s

        best = tf.gather(candidates, tf.argsort(costs, stable=True)[:parents])
        steps = (best - state.mean) / state.step_size
        recombination = tf.constant(weights, dtype)
        shift = tf.linalg.matvec(steps, recombination, transpose_a=True)
        generation = state.generation + 1

        white = tf.linalg.matvec(state.inverse_root, shift)
        step_path = (1 - rate_s) * state.step_path + math.sqrt(rate_s * (2 - rate_s) * mass) * white
        squared = tf.reduce_sum(tf.square(step_path)) / size
        begun = 1 - (1 - rate_s) ** (2 * tf.cast(generation, dtype))
        # Where the path is long, the step size grows fast, and the covariance waits.
        steady = tf.cast(squared / begun < 2 + 4 / (size + 1), dtype)
        covariance_path = (1 - rate_c) * state.covariance_path
        covariance_path += steady * math.sqrt(rate_c * (2 - rate_c) * mass) * shift

        lost = rate_one * (1 - (1 - steady) * rate_c * (2 - rate_c))
        rank_one = covariance_path[:, tf.newaxis] * covariance_path
        rank_mu = tf.matmul(steps * recombination[:, tf.newaxis], steps, transpose_a=True)
        covariance = (1 - lost - rate_mu) * state.covariance + rate_one * rank_one + rate_mu * rank_mu
        grown = state.step_size * tf.exp(tf.minimum(rate_s / damping * (squared - 1) / 2, 1.0))
        mean = state.mean + state.step_size * shift
        return CMAState(mean, grown, covariance, *roots(covariance), step_path, covariance_path, generation)

    return EvolutionStrategy(init, ask, tell)


def roots(matrix: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """The square root of a symmetric positive definite matrix and its inverse, by the iteration of Newton and Schulz.

    Higham (2008), "Functions of matrices", equation 6.35.
    """
    one = tf.eye(matrix.shape[0], dtype=matrix.dtype)
    scale = tf.reduce_max(tf.reduce_sum(tf.abs(matrix), axis=-1))  # at least the largest eigenvalue

    def step(carry: tuple, x: None) -> tuple:
        root, inverse = carry
        factor = 1.5 * one - 0.5 * tf.matmul(inverse, root)
        return (tf.matmul(root, factor), tf.matmul(factor, inverse)), None

    (root, inverse), _ = scan(step, (matrix / scale, one), length=_ROOT_STEPS)
    symmetric = lambda x: 0.5 * (x + tf.transpose(x))
    return symmetric(root) * tf.sqrt(scale), symmetric(inverse) / tf.sqrt(scale)
