import numpy as np
import rlax
import tensorflow as tf
from jax import numpy as jnp

from rl_fn import normalization
from rl_fn.normalization import PopArtState
from tests.parity.support import CASES, assert_parity


def state_args(rng):
    shift, scale = rng.normal(size=3), rng.uniform(0.5, 2, size=3)
    shape = (int(rng.choice([1, 5])), 2)
    return shift, scale, scale**2, rng.normal(size=shape), rng.integers(3, size=shape)


def theirs(function):
    return lambda shift, scale, variance, *args: function(rlax.PopArtState(shift, scale, variance + shift**2), *args)


def ours(function):
    return lambda shift, scale, variance, *args: function(PopArtState(shift, scale, variance), *args)


def test_normalize():
    assert_parity(ours(normalization.normalize), theirs(rlax.normalize), state_args, (3,))
    assert_parity(ours(normalization.unnormalize), theirs(rlax.unnormalize), state_args, (3,))


def test_unnormalize_linear():
    def args(rng):
        *state, targets, indices = state_args(rng)
        return (*state, rng.normal(size=(*targets.shape, 3)), indices)

    assert_parity(ours(normalization.unnormalize_linear), theirs(rlax.unnormalize_linear), args, (3,))


def test_art():
    def theirs(shift, scale, variance, targets, indices):
        new = rlax.art(rlax.PopArtState(shift, scale, variance + shift**2), targets, indices, 0.1, 0.6, 1.5)
        return new.shift, new.scale, new.second_moment - new.shift**2

    def ours(shift, scale, variance, targets, indices):
        new = normalization.art(PopArtState(shift, scale, variance), targets, indices, 0.1, 0.6, 1.5)
        return tuple(new)

    assert_parity(ours, theirs, state_args, ())


def test_pop_art():
    for seed in range(CASES // 10):
        rng = np.random.default_rng(seed)
        kernel, bias = rng.normal(size=(4, 3)).astype(np.float32), rng.normal(size=3).astype(np.float32)
        mine = normalization.pop_art(3, 0.05, 0.1, 10.0)
        init, update = rlax.popart(3, 0.05, 0.1, 10.0)
        state, params = mine.init(), {"kernel": tf.constant(kernel), "bias": tf.constant(bias)}
        other_state, other_params = init(), {"w": jnp.asarray(kernel), "b": jnp.asarray(bias)}
        for _ in range(4):
            targets, indices = rng.normal(size=6).astype(np.float32) * 3, rng.integers(3, size=6)
            params, state = mine.update(params, state, targets, indices)
            other_params, other_state = update(other_params, other_state, jnp.asarray(targets), jnp.asarray(indices))
        np.testing.assert_allclose(state.shift, other_state.shift, rtol=1e-4, atol=1e-6)
        np.testing.assert_allclose(state.scale, other_state.scale, rtol=1e-4)
        np.testing.assert_allclose(params["kernel"], other_params["w"], rtol=1e-4, atol=1e-5)
        np.testing.assert_allclose(params["bias"], other_params["b"], rtol=1e-4, atol=1e-5)


def test_exponential_moving_moments():
    for seed in range(CASES // 10):
        rng = np.random.default_rng(seed)
        batches = [{"a": rng.normal(size=(4, 2)), "b": rng.normal(size=5)} for _ in range(5)]
        ema = normalization.exponential_moving_moments(0.9)
        init, update = rlax.create_ema(0.9)
        state, other = ema.init(batches[0]), init(batches[0])
        for batch in batches:
            moments, state = ema.update(batch, state)
            expected, other = update(batch, other)
        for name in ("a", "b"):
            np.testing.assert_allclose(moments.mean[name], expected.mean[name], rtol=1e-5, atol=1e-6)
            np.testing.assert_allclose(moments.variance[name], expected.variance[name], rtol=1e-5, atol=1e-6)
