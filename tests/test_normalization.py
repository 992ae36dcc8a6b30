import numpy as np
import pytest
import tensorflow as tf

from rl_fn import normalization
from rl_fn.normalization import EmaMoments, PopArtState, RunningMoments
from tests.support import assert_bfloat16, assert_gradients, assert_modes_agree, assert_refuses

rng = np.random.default_rng(0)
SHIFT, SCALE, VARIANCE = (np.float32(x) for x in ([1.0, -2.0, 0.5], [2.0, 0.5, 1.0], [4.0, 0.25, 1.0]))
TARGETS = rng.normal(size=(2, 4)).astype(np.float32)
INDICES = np.array([[0, 1, 1, 0], [0, 1, 0, 0]])  # the third output gets no target
OUTPUTS = rng.normal(size=(2, 4, 3)).astype(np.float32)
ARGS = (SHIFT, SCALE, VARIANCE)


def art(shift, scale, variance, targets, indices):
    return normalization.art(PopArtState(shift, scale, variance), targets, indices, 0.1, 0.1, 10.0)


def normalize(shift, scale, variance, x, indices):
    return normalization.normalize(PopArtState(shift, scale, variance), x, indices)


def unnormalize(shift, scale, variance, x, indices):
    return normalization.unnormalize(PopArtState(shift, scale, variance), x, indices)


def unnormalize_linear(shift, scale, variance, outputs, indices):
    return normalization.unnormalize_linear(PopArtState(shift, scale, variance), outputs, indices)


def running(x):
    moments = RunningMoments.init(tf.TensorSpec([4], x.dtype)).update(x[:1]).update(x[1:])
    return moments.mean, moments.variance, moments.normalize(x, clip=1.5)


def exponential(x, y):
    ema = normalization.exponential_moving_moments(0.9)
    return ema.update((y, x), ema.update((x, y), ema.init((x, y)))[1])[0]


CASES = {
    "art": (art, (*ARGS, TARGETS, INDICES), []),
    "normalize": (normalize, (*ARGS, TARGETS, INDICES), [3]),
    "unnormalize": (unnormalize, (*ARGS, TARGETS, INDICES), [3]),
    "unnormalize_linear": (unnormalize_linear, (*ARGS, OUTPUTS, INDICES), [3]),
    "exponential": (exponential, (TARGETS, OUTPUTS), []),
}


@pytest.mark.parametrize("name", [*CASES, "running"])
def test_modes_agree(name):
    function, args, _ = CASES.get(name, (running, (TARGETS,), []))
    assert_modes_agree(function, *args)


@pytest.mark.parametrize("name", CASES)
def test_gradients(name):
    function, args, with_gradient = CASES[name]
    assert_gradients(function, args, with_gradient)


@pytest.mark.parametrize("name", ["art", "normalize", "unnormalize", "unnormalize_linear"])
def test_bfloat16(name):
    function, args, _ = CASES[name]
    assert_bfloat16(function, *args)


def test_art_follows_the_definition():
    shift, moment = SHIFT.astype(np.float64), VARIANCE + SHIFT.astype(np.float64) ** 2
    old_shift, old_moment = shift.copy(), moment.copy()
    for target, index in zip(TARGETS.flat, INDICES.flat, strict=True):
        shift[index] += 0.1 * (target - old_shift[index])
        moment[index] += 0.1 * (target**2 - old_moment[index])
    actual = art(*ARGS, TARGETS, INDICES)
    np.testing.assert_allclose(actual.shift, shift, rtol=1e-6)
    np.testing.assert_allclose(actual.variance, moment - shift**2, rtol=1e-5)
    np.testing.assert_allclose(actual.scale, np.sqrt(np.clip(moment - shift**2, 0.01, 100)), rtol=1e-5)


def test_pop_art_preserves_outputs_precisely():
    pop_art = normalization.pop_art(3, 0.2)
    state = pop_art.init()
    params = {"kernel": rng.normal(size=(5, 3)), "bias": rng.normal(size=3)}
    params = {name: tf.constant(value, tf.float32) for name, value in params.items()}
    inputs = rng.normal(size=(2, 4, 5)).astype(np.float32)

    def predict(params, state):
        outputs = inputs @ params["kernel"] + params["bias"]
        return normalization.unnormalize_linear(state, outputs, INDICES).unnormalized

    before = predict(params, state)
    for _ in range(5):
        params, state = pop_art.update(params, state, 30 * TARGETS + 7, INDICES)
    assert np.all(np.abs(state.shift[:2]) > 1)
    np.testing.assert_allclose(predict(params, state), before, rtol=1e-4, atol=1e-4)


def test_pop_art_scale_is_right_where_the_mean_is_large():
    state = normalization.pop_art(1, 0.01).init()
    step = tf.function(lambda state, x: normalization.art(state, x, tf.zeros_like(x, tf.int32), 0.01, 1e-4, 1e6))
    for _ in range(300):
        state = step(state, tf.constant(1e5 + rng.normal(size=8), tf.float32))
    np.testing.assert_allclose(state.shift, 1e5, rtol=1e-5)
    assert 0.7 < state.scale[0] < 1.4


def test_normalize_and_unnormalize_are_inverse():
    np.testing.assert_allclose(unnormalize(*ARGS, normalize(*ARGS, TARGETS, INDICES), INDICES), TARGETS, rtol=1e-6)
    np.testing.assert_allclose(normalize(*ARGS, [5.0], [0]), [2.0])


@pytest.mark.parametrize("mean", [0.0, 1e4])
def test_running_moments_are_those_of_all_examples(mean):
    data = (mean + rng.normal(size=(60, 3)) * [1, 2, 3]).astype(np.float32)
    moments = RunningMoments.init(tf.TensorSpec([3]))
    for part in np.split(data, [1, 8, 40]):
        moments = moments.update(part)
    assert moments.count == 60
    np.testing.assert_allclose(moments.mean, data.mean(0, dtype=np.float64), rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(moments.variance, data.var(0, dtype=np.float64), rtol=1e-3 if mean else 1e-5)


def test_merged_devices_see_what_one_would():
    data = rng.normal(size=(4, 5, 2, 3)).astype(np.float32)  # [devices, T, B, 3]
    empty = RunningMoments.init(tf.TensorSpec([3]))
    devices = [empty.update(part) for part in data]
    together = devices[0].merge(devices[1]).merge(devices[2].merge(devices[3])).merge(empty)
    alone = empty.update(data)
    for a, b in zip(tf.nest.flatten(together), tf.nest.flatten(alone), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


def test_running_moments_do_not_stall_or_drift():
    moments = RunningMoments(tf.constant(2**30, tf.int64), tf.constant([5.0]), tf.constant([4.0]))
    update = tf.function(lambda moments, x: moments.update(x))
    for _ in range(200):
        moments = update(moments, tf.constant(5 + 2 * rng.normal(size=(8, 1)), tf.float32))
    assert moments.count == 2**30 + 1600
    np.testing.assert_allclose(moments.variance, [4.0], rtol=1e-5)


def test_running_moments_of_a_nest():
    spec = {"pixels": tf.TensorSpec([2, 2], tf.uint8), "speed": tf.TensorSpec([], tf.float64)}
    pixels = rng.integers(256, size=(5, 3, 2, 2)).astype(np.uint8)
    moments = RunningMoments.init(spec)
    np.testing.assert_array_equal(moments.normalize({"pixels": pixels, "speed": 3.0})["pixels"], pixels)
    moments = moments.update({"pixels": pixels, "speed": rng.normal(size=(5, 3))})
    assert moments.mean["pixels"].dtype == tf.float32
    assert moments.mean["speed"].dtype == tf.float64
    normalized = moments.normalize({"pixels": pixels, "speed": np.float64(0)})["pixels"]
    np.testing.assert_allclose(np.std(normalized, axis=(0, 1)), 1, rtol=1e-4)


def test_normalize_clips_and_passes_the_gradient():
    moments = RunningMoments.init(tf.TensorSpec([2])).update(np.float32([[0, 1], [2, 5]]))
    np.testing.assert_allclose(moments.normalize(np.float32([[2, 99]]), clip=3.0), [[1.0, 3.0]], rtol=1e-6)
    assert_gradients(lambda x: moments.normalize(x), (TARGETS[:, :2],), [0], tolerance=1e-5)
    assert moments.normalize(tf.constant([[1.0, 1.0]], tf.bfloat16)).dtype == tf.bfloat16


def test_exponential_moments_follow_the_definition():
    ema = normalization.exponential_moving_moments(0.8)
    batches = 3 + rng.normal(size=(6, 4, 2))
    state = ema.init(tf.constant(batches[0]))
    for batch in batches:
        moments, state = ema.update(tf.constant(batch), state)
    weights = np.repeat(0.2 * 0.8 ** np.arange(6)[::-1], 8)
    mean = np.average(batches.ravel(), weights=weights)
    variance = np.average((batches.ravel() - mean) ** 2, weights=weights)
    assert isinstance(moments, EmaMoments)
    np.testing.assert_allclose(moments.mean, mean, rtol=1e-6)
    np.testing.assert_allclose(moments.variance, variance, rtol=1e-6)


def test_bad_inputs_are_refused_by_name():
    assert_refuses(r"art: indices holds -1", art, *ARGS, TARGETS, INDICES - 1)
    for name, function in (("art", art), ("normalize", normalize), ("unnormalize", unnormalize)):
        expected = rf"{name}: indices holds \d, expected values in \[0, {len(ARGS[0])}\)"
        assert_refuses(expected, function, *ARGS, TARGETS, INDICES + len(ARGS[0]))
    assert_refuses(r"indices holds 3.*\[0, 3\)", unnormalize_linear, *ARGS, OUTPUTS, INDICES + 2)
    moments = RunningMoments.init(tf.TensorSpec([3]))
    assert_refuses(r"a leaf has shape \(5, 2\)", moments.update, np.zeros((5, 2), np.float32))
    nest = RunningMoments.init({"a": tf.TensorSpec([]), "b": tf.TensorSpec([])})
    assert_refuses(r"the leaves hold \[2, 3\] examples", nest.update, {"a": np.zeros(2), "b": np.zeros(3)})


def test_rewards_are_scaled_by_the_deviation_of_discounted_sums():
    rng = np.random.default_rng(0)
    rewards, ends = rng.normal(2.0, 3.0, (40, 3)).astype(np.float32), rng.random((40, 3)) < 0.1
    normalizer = normalization.RewardNormalizer.init(3)
    np.testing.assert_allclose(normalizer.normalize(tf.constant(rewards)), rewards, rtol=1e-5)
    update = tf.function(normalization.RewardNormalizer.update, jit_compile=True)
    sums, totals = np.zeros(3), []
    for part in (slice(0, 25), slice(25, 40)):
        normalizer = update(normalizer, tf.constant(rewards[part]), tf.constant(ends[part]), 0.9)
        for reward, end in zip(rewards[part], ends[part], strict=True):
            sums = 0.9 * sums + reward
            totals.append(sums)
            sums = np.where(end, 0, sums)
    np.testing.assert_allclose(normalizer.returns, sums, rtol=1e-4, atol=1e-5)
    expected = rewards / np.std(totals)
    np.testing.assert_allclose(normalizer.normalize(tf.constant(rewards)), expected, rtol=1e-4)
    np.testing.assert_allclose(
        normalizer.normalize(tf.constant(rewards), clip=0.5), expected.clip(-0.5, 0.5), rtol=1e-4
    )


def test_an_empty_batch_changes_no_moments():
    moments = RunningMoments.init(tf.TensorSpec([2])).update(tf.constant([[1.0, 2.0], [3.0, 6.0]]))
    after = moments.update(tf.zeros([0, 2]))
    for old, new in zip(tf.nest.flatten(moments), tf.nest.flatten(after), strict=True):
        np.testing.assert_array_equal(new, old)
    rewards = normalization.RewardNormalizer.init(3).update(tf.ones([4, 3]), tf.zeros([4, 3], tf.bool), 0.9)
    same = rewards.update(tf.ones([0, 3]), tf.zeros([0, 3], tf.bool), 0.9)
    np.testing.assert_array_equal(same.normalize(tf.ones([1, 3])), rewards.normalize(tf.ones([1, 3])))
