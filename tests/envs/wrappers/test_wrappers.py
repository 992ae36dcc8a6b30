"""Every wrapper against a plain Python loop, under tf.vectorized_map and XLA."""

import gymnasium
import numpy as np
import pytest
import tensorflow as tf
from gymnasium import spaces

from rl_fn import envs, random, struct
from rl_fn._src.scan import scan
from rl_fn.envs import wrappers
from rl_fn.envs.base import Env, EnvStep, TimedState, count_from_zero
from rl_fn.normalization import RunningMoments
from rl_fn.struct import EnvSpec

T, B, COPIES, LIMIT = 30, 3, 2, 7

PICTURE = spaces.Box(0, 255, [2, 3], np.uint8)
BOX = spaces.Box(np.float32([-20, 1]), np.float32([20, 500]))
DICT = spaces.Dict(
    {
        "place": spaces.Discrete(30, start=-15),
        "box": BOX,
        "pair": spaces.Tuple([spaces.MultiDiscrete([[9, 2]]), spaces.MultiBinary(2)]),
    }
)


def walk(space, observe):
    """A walk on whole numbers that ends at 9 or after 7 steps; its arithmetic is exact in float32."""

    def from_key(word, batch_size, size):
        # Keys are random bits already; compiling a draw for each of all these environments would take minutes.
        return tf.math.floormod(tf.cast(tf.bitwise.right_shift(word, 8), tf.int32) + 3 * tf.range(batch_size), size)

    def reset(key, batch_size):
        place = from_key(key[0], batch_size, 4)
        return TimedState(place, tf.zeros_like(place)), observe(place)

    def step(state, action, key):
        batch_size = state.time.shape[0]
        successor, time = state.inner + 2 * (action - 1) + from_key(key[1], batch_size, 3), state.time + 1
        terminated, truncated = successor >= 9, time >= LIMIT
        last = terminated | truncated
        place = tf.where(last, from_key(key[0], batch_size, 4), successor)
        reward = tf.cast(successor, tf.float32) / 2
        outcome = EnvStep(observe(place), reward, terminated, truncated, observe(successor))
        return TimedState(place, tf.where(last, 0, time)), outcome

    spec = EnvSpec("Walk-v0", space, spaces.Discrete(3), max_episode_steps=LIMIT, reward_threshold=3.0)
    return Env(spec, reset, step, render=lambda state: np.full([1, 1, 3], state.inner, np.uint8))


def observe_box(state):
    x = tf.cast(state, tf.float32)
    return tf.stack([x, tf.square(x) + 1], axis=-1)


def observe_picture(state):
    return tf.cast(state[:, None, None] + 10 + tf.reshape(tf.range(6), [2, 3]), tf.uint8)


def observe_dict(state):
    digits = tf.stack([tf.math.floormod(state, 9), tf.math.floormod(state, 2)], axis=-1)
    bits = tf.cast(tf.stack([state > 3, state > 5], axis=-1), tf.int8)
    return {"place": state, "box": observe_box(state), "pair": (tf.cast(digits[:, None], tf.int64), bits)}


WALK = walk(BOX, observe_box)
PICTURES = walk(PICTURE, observe_picture)
NESTED = count_from_zero(walk(DICT, observe_dict))
PLACE = count_from_zero(walk(spaces.Discrete(30, start=-15), tf.identity))
DIGITS = walk(spaces.MultiDiscrete([[9, 2]]), lambda state: observe_dict(state)["pair"][0])
SEEN = NESTED.spec.observation_space
FROZEN = RunningMoments(tf.constant(5, tf.int64), mean=tf.constant([1.0, 2.0]), variance=tf.constant([4.0, 9.0]))
FROZEN_PICTURE = RunningMoments(tf.constant(5, tf.int64), mean=tf.fill([2, 3], 4.0), variance=tf.fill([2, 3], 4.0))
FROZEN_RETURN = RunningMoments(tf.constant(5, tf.int64), mean=tf.constant(1.0), variance=tf.constant(4.0))


def shaped(observation, action, reward, next_observation):
    return reward + 100 * observation[:, 0] + 10 * next_observation[:, 0] + tf.cast(action, tf.float32)


WRAPPED = {
    "walk": WALK,
    "pictures": PICTURES,
    "nested": NESTED,
    "time_limit": wrappers.time_limit(WALK, 4),
    "sticky_actions": wrappers.sticky_actions(WALK, 0.5),
    "action_repeat": wrappers.action_repeat(WALK, 3),
    "actions_from_ten": count_from_zero(
        WALK._replace(
            spec=WALK.spec._replace(action_space=spaces.Discrete(3, start=10)),
            step=lambda state, action, key: WALK.step(state, action - 10, key),
        )
    ),
    "normalize_observation": wrappers.normalize_observation(WALK, FROZEN, clip=1.5),
    "normalize_observation_pictures": wrappers.normalize_observation(PICTURES, FROZEN_PICTURE, clip=None),
    "normalize_reward": wrappers.normalize_reward(WALK, 0.9, clip=1.5),
    "normalize_reward_frozen": wrappers.normalize_reward(WALK, 0.9, clip=None, moments=FROZEN_RETURN),
    "scale_reward": wrappers.scale_reward(WALK, 3.0),
    "clip_reward": wrappers.clip_reward(WALK, -1.0, 2.0),
    "shape_reward": wrappers.shape_reward(WALK, shaped),
    "frame_stack": wrappers.frame_stack(WALK, 3),
    "frame_stack_pictures": wrappers.frame_stack(PICTURES, 3, stack_axis=0, padding="zeros"),
    "flatten_observation": wrappers.flatten_observation(NESTED),
    "one_hot_observation": wrappers.one_hot_observation(PLACE),
    "one_hot_digits": wrappers.one_hot_observation(DIGITS),
    "mask_observation": wrappers.mask_observation(WALK, [1]),
    "mask_names": wrappers.mask_observation(NESTED, ["place", "box"]),
    "all_together": wrappers.normalize_reward(
        wrappers.frame_stack(wrappers.normalize_observation(wrappers.action_repeat(WALK, 2), FROZEN), 2)
    ),
}


def rollouts(key, actions):
    """Of every environment the first observation, the outcomes of T steps and the last state."""

    def step(states, x):
        stepped = {name: env.step(states[name], x[1], x[0]) for name, env in WRAPPED.items()}
        return {name: state for name, (state, _) in stepped.items()}, {
            name: tuple(outcome) for name, (_, outcome) in stepped.items()
        }

    reset_key, step_key = tf.unstack(random.split(key))
    begun = {name: env.reset(reset_key, B) for name, env in WRAPPED.items()}
    states = {name: state for name, (state, _) in begun.items()}
    states, outcomes = scan(step, states, (random.split(step_key, T), actions))
    return {name: (begun[name][1], EnvStep(*outcomes[name]), states[name]) for name in WRAPPED}


@pytest.fixture(scope="module")
def inputs():
    actions = np.random.default_rng(0).integers(3, size=[COPIES, T, B]).astype(np.int32)
    return random.split(random.key(0), COPIES), actions


@pytest.fixture(scope="module")
def played(inputs):
    """All environments, vectorised over copies in one compiled program."""

    @tf.function(jit_compile=True, autograph=False)
    def copies(keys, actions):
        return tf.vectorized_map(lambda copy: rollouts(*copy), (keys, actions), fallback_to_while_loop=False)

    return tf.nest.map_structure(np.asarray, copies(*inputs))


def of_copy(played, name, copy):
    return tf.nest.map_structure(lambda leaf: leaf[copy], played[name])


def at(outcomes, t):
    return tf.nest.map_structure(lambda leaf: leaf[t], outcomes)


def is_last(outcome):
    return outcome.terminated | outcome.truncated


def assert_same(actual, expected, rtol=0.0):
    tf.nest.assert_same_structure(actual, expected)
    for (name, a), (_, e) in zip(struct.named_leaves(actual), struct.named_leaves(expected), strict=True):
        assert np.asarray(a).dtype == np.asarray(e).dtype, name
        np.testing.assert_allclose(a, e, rtol=rtol, atol=rtol, err_msg=name)


def each_copy(played, name, of="walk"):
    """Pairs of what the wrapped and the plain environment did under the same keys."""
    for copy in range(COPIES):
        yield of_copy(played, name, copy), of_copy(played, of, copy)


def test_the_walk_ends_in_both_ways(played):
    _, outcomes, _ = played["walk"]
    assert outcomes.terminated.sum() > 10
    assert (outcomes.truncated & ~outcomes.terminated).sum() > 5
    assert np.any(outcomes.observation[is_last(outcomes)] != outcomes.next_observation[is_last(outcomes)])


def keys_of(inputs, copy):
    reset_key, step_key = tf.unstack(random.split(inputs[0][copy]))
    return reset_key, tf.unstack(random.split(step_key, T))


def one(nest, index):
    return tf.nest.map_structure(lambda leaf: np.asarray(leaf)[index], nest)


def put(nest, index, value):
    return tf.nest.map_structure(
        lambda leaf, v: np.concatenate([np.asarray(leaf)[:index], [v], np.asarray(leaf)[index + 1 :]]), nest, value
    )


def test_time_limit(played, inputs):
    env, limit = WALK, 4
    for copy in range(COPIES):
        first, outcomes, _ = of_copy(played, "time_limit", copy)
        reset_key, keys = keys_of(inputs, copy)
        state, observation = env.reset(reset_key, B)
        np.testing.assert_array_equal(first, observation)
        time = [0] * B
        for t in range(T):
            step_key, fresh_key = tf.unstack(random.split(keys[t]))
            state, expected = env.step(state, inputs[1][copy, t], step_key)
            expected = tf.nest.map_structure(np.array, expected)
            fresh, fresh_observation = env.reset(fresh_key, B)
            for b in range(B):
                time[b] += 1
                if is_last(expected)[b] or time[b] == limit:
                    if not is_last(expected)[b]:
                        state = put(state, b, one(fresh, b))
                        expected.observation[b] = fresh_observation[b]
                    expected.truncated[b] |= time[b] == limit
                    time[b] = 0
            assert_same(at(outcomes, t), expected)
    assert WRAPPED["time_limit"].spec == WALK.spec._replace(max_episode_steps=4)


def test_sticky_actions(played, inputs):
    stuck = 0
    for copy in range(COPIES):
        _, outcomes, _ = of_copy(played, "sticky_actions", copy)
        reset_key, keys = keys_of(inputs, copy)
        state, _ = WALK.reset(reset_key, B)
        before = [None] * B
        for t in range(T):
            sticky_key, step_key = tf.unstack(random.split(keys[t]))
            draws, executed = random.uniform(sticky_key, [B]).numpy(), inputs[1][copy, t].copy()
            for b in range(B):
                if draws[b] < 0.5 and before[b] is not None:
                    stuck += before[b] != executed[b]
                    executed[b] = before[b]
            state, expected = WALK.step(state, executed, step_key)
            assert_same(at(outcomes, t), tf.nest.map_structure(np.asarray, expected))
            before = [None if last else action for last, action in zip(is_last(expected), executed, strict=True)]
    assert stuck > 20


def test_action_repeat(played, inputs):
    stopped = 0
    for copy in range(COPIES):
        _, outcomes, _ = of_copy(played, "action_repeat", copy)
        reset_key, keys = keys_of(inputs, copy)
        state, _ = WALK.reset(reset_key, B)
        for t in range(T):
            rewards, over, expected = np.zeros(B, np.float32), [False] * B, [None] * B
            for repeat, key in enumerate(tf.unstack(random.split(keys[t], 3))):
                moved, outcome = WALK.step(state, inputs[1][copy, t], key)
                for b in range(B):
                    if not over[b]:
                        rewards[b] += outcome.reward[b]
                        expected[b] = one(outcome, b)._replace(reward=rewards[b])
                        state = put(state, b, one(moved, b))
                        over[b] = bool(is_last(expected[b]))
                        stopped += over[b] and repeat < 2
            assert_same(at(outcomes, t), tf.nest.map_structure(lambda *leaves: np.stack(leaves), *expected))
    assert stopped > 10
    assert WRAPPED["action_repeat"].spec == WALK.spec._replace(max_episode_steps=3)


def test_normalize_observation(played):
    for name, of, mean, deviation, clip in [
        ("normalize_observation", "walk", [1, 2], [2, 3], 1.5),
        ("normalize_observation_pictures", "pictures", 4, 2, np.inf),
    ]:
        normalized = lambda x, m=mean, d=deviation, c=clip: np.clip((x - np.float32(m)) / np.float32(d), -c, c)
        for (first, outcomes, _), (plain_first, plain, _) in each_copy(played, name, of):
            assert_same(first, normalized(plain_first), rtol=1e-6)
            expected = plain._replace(
                observation=normalized(plain.observation), next_observation=normalized(plain.next_observation)
            )
            assert_same(outcomes, expected, rtol=1e-6)
        shape = PICTURE.shape if of == "pictures" else BOX.shape
        assert WRAPPED[name].spec.observation_space == spaces.Box(-clip, clip, shape, np.float32)


def test_spaces_count_from_zero_for_the_agent(played):
    assert SEEN["place"] == PLACE.spec.observation_space == spaces.Discrete(30)
    assert WRAPPED["actions_from_ten"].spec == WALK.spec
    assert count_from_zero(WALK) is WALK
    for (first, outcomes, _), (plain_first, plain, _) in each_copy(played, "nested"):
        np.testing.assert_array_equal(first["place"], plain_first[..., 0] + 15)
        np.testing.assert_array_equal(outcomes.observation["place"], plain.observation[..., 0] + 15)
        np.testing.assert_array_equal(outcomes.next_observation["place"], plain.next_observation[..., 0] + 15)
    for (_, outcomes, _), (_, plain, _) in each_copy(played, "actions_from_ten"):
        assert_same(outcomes, plain)


def test_normalize_reward(played):
    for (_, outcomes, state), (_, plain, _) in each_copy(played, "normalize_reward"):
        returns, seen = np.zeros(B), []
        for t in range(T):
            step = at(plain, t)
            returns = 0.9 * returns + step.reward
            seen.extend(returns)
            reward = np.clip(step.reward / np.sqrt(np.var(seen) + 1e-8), -1.5, 1.5).astype(np.float32)
            assert_same(at(outcomes, t), step._replace(reward=reward), rtol=1e-5)
            returns[is_last(step)] = 0
        assert state.moments.count == T * B
        np.testing.assert_allclose(state.discounted_return, returns, rtol=1e-5)
    for (_, outcomes, _), (_, plain, _) in each_copy(played, "normalize_reward_frozen"):
        assert_same(outcomes, plain._replace(reward=plain.reward / 2), rtol=1e-6)


def test_rewards_are_scaled_clipped_and_shaped(played, inputs):
    for (_, outcomes, _), (_, plain, _) in each_copy(played, "scale_reward"):
        assert_same(outcomes, plain._replace(reward=3 * plain.reward))
    for (_, outcomes, _), (_, plain, _) in each_copy(played, "clip_reward"):
        assert_same(outcomes, plain._replace(reward=np.clip(plain.reward, -1, 2)))
    for copy, ((_, outcomes, _), (first, plain, _)) in enumerate(each_copy(played, "shape_reward")):
        before = first
        for t in range(T):
            step = at(plain, t)
            reward = step.reward + 100 * before[:, 0] + 10 * step.next_observation[:, 0] + inputs[1][copy, t]
            assert_same(at(outcomes, t), step._replace(reward=reward.astype(np.float32)))
            before = step.observation
    assert WRAPPED["scale_reward"].spec.reward_threshold == 9.0
    assert WRAPPED["clip_reward"].spec.reward_threshold is None


@pytest.mark.parametrize(("name", "of", "axis"), [("frame_stack", "walk", -1), ("frame_stack_pictures", "pictures", 0)])
def test_frame_stack(played, name, of, axis):
    space = WRAPPED[name].spec.observation_space
    for (first, outcomes, _), (plain_first, plain, _) in each_copy(played, name, of):

        def begin(frame):
            return [frame if axis == -1 else np.zeros_like(frame)] * 2 + [frame]

        def show(stacks):
            return np.stack([np.stack(frames, axis) for frames in stacks])

        stacks = [begin(frame) for frame in plain_first]
        assert_same(first, show(stacks))
        for t in range(T):
            step = at(plain, t)
            following = [[*stack[1:], frame] for stack, frame in zip(stacks, step.next_observation, strict=True)]
            stacks = [begin(step.observation[b]) if is_last(step)[b] else following[b] for b in range(B)]
            expected = step._replace(observation=show(stacks), next_observation=show(following))
            assert_same(at(outcomes, t), expected)
            assert all(space.contains(stack) for stack in expected.observation)


def test_flatten_observation_is_that_of_gymnasium(played):
    for (first, outcomes, _), (plain_first, plain, _) in each_copy(played, "flatten_observation", "nested"):

        def flat(nest, *index):
            return np.float32(spaces.flatten(SEEN, one(nest, index)))

        for b in range(B):
            assert_same(first[b], flat(plain_first, b))
            for t in range(T):
                assert_same(outcomes.observation[t, b], flat(plain.observation, t, b))
                assert_same(outcomes.next_observation[t, b], flat(plain.next_observation, t, b))
    space, theirs = WRAPPED["flatten_observation"].spec.observation_space, spaces.flatten_space(SEEN)
    assert space.dtype == np.float32
    np.testing.assert_array_equal([space.low, space.high], [theirs.low, theirs.high])


def test_one_hot_observation(played):
    for (first, outcomes, _), (plain_first, plain, _) in each_copy(played, "one_hot_observation", "nested"):
        assert_same(first, np.eye(30, dtype=np.float32)[plain_first["place"]])
        assert_same(outcomes.next_observation, np.eye(30, dtype=np.float32)[plain.next_observation["place"]])
    for (_, outcomes, _), (_, plain, _) in each_copy(played, "one_hot_digits", "nested"):
        digits = plain.observation["pair"][0][:, :, 0]
        expected = [np.eye(n, dtype=np.float32)[digits[..., i]] for i, n in enumerate([9, 2])]
        assert_same(outcomes.observation, np.concatenate(expected, axis=-1))
    assert WRAPPED["one_hot_observation"].spec.observation_space == spaces.Box(0, 1, [30], np.float32)
    assert WRAPPED["one_hot_digits"].spec.observation_space == spaces.Box(0, 1, [11], np.float32)


def test_mask_observation(played):
    for (first, outcomes, _), (plain_first, plain, _) in each_copy(played, "mask_observation"):
        assert_same(first, plain_first * np.float32([0, 1]))
        assert_same(outcomes.observation, plain.observation * np.float32([0, 1]))
        assert_same(outcomes.next_observation, plain.next_observation * np.float32([0, 1]))
    for (first, outcomes, _), (plain_first, plain, _) in each_copy(played, "mask_names", "nested"):
        assert_same(first, {name: plain_first[name] for name in ("box", "place")})
        assert_same(outcomes.next_observation, {name: plain.next_observation[name] for name in ("box", "place")})
    hidden = wrappers.mask_observation(WALK, [0]).spec.observation_space
    np.testing.assert_array_equal([hidden.low, hidden.high], np.float32([[-20, 0], [20, 500]]))  # 0 is inside
    assert WRAPPED["mask_names"].spec.observation_space == spaces.Dict({"place": SEEN["place"], "box": BOX})


def test_together_they_are_consistent(played):
    _, outcomes, _ = played["all_together"]
    going = ~is_last(outcomes)
    np.testing.assert_array_equal(outcomes.observation[going], outcomes.next_observation[going])
    ends = is_last(outcomes)
    assert ends.sum() > 10
    np.testing.assert_array_equal(outcomes.observation[ends][..., 0], outcomes.observation[ends][..., 1])
    # The true successor still shows the frame before it.
    before = outcomes.observation[:, :-1][ends[:, 1:]]
    after = outcomes.next_observation[:, 1:][ends[:, 1:]]
    np.testing.assert_array_equal(after[..., 0], before[..., 1])
    assert WRAPPED["all_together"].spec.observation_space.shape == (2, 2)


@pytest.mark.parametrize("name", WRAPPED)
def test_pictures_are_those_of_the_environment(name, played):
    state = played[name][2]
    one_state = tf.nest.map_structure(lambda leaf: leaf[0, ..., 0] if leaf.ndim > 1 else leaf[0], state)
    picture = WRAPPED[name].render(one_state)
    while not isinstance(state, np.ndarray):
        state = state[0]  # the innermost: where the walk stands
    np.testing.assert_array_equal(picture, np.full([1, 1, 3], state[0, 0], np.uint8))


def test_policies_are_judged_without_the_wrappers_of_rewards():
    """And with all others, in whatever order."""

    def judged_reward(env):
        state, _ = envs.judged(env).reset(random.key(0), 2)
        return envs.judged(env).step(state, tf.constant([2, 2]), random.key(1))[1].reward

    for env in (
        wrappers.scale_reward(WALK, 100.0),
        wrappers.clip_reward(WALK, 50.0, 60.0),
        wrappers.normalize_reward(WALK),
        wrappers.shape_reward(WALK, shaped),
        wrappers.clip_reward(wrappers.scale_reward(WALK, 100.0), 50.0, 60.0),
    ):
        assert envs.judged(env) is WALK
    assert envs.judged(WALK) is WALK
    assert envs.judged(wrappers.frame_stack(WALK, 2)).spec.observation_space.shape == (2, 2)
    for env in (
        wrappers.frame_stack(wrappers.clip_reward(WALK, 50.0, 60.0), 2),
        wrappers.clip_reward(wrappers.frame_stack(WALK, 2), 50.0, 60.0),
        wrappers.time_limit(wrappers.frame_stack(wrappers.scale_reward(WALK, 100.0), 2), 3),
    ):
        assert envs.judged(env).spec.observation_space == env.spec.observation_space
        assert envs.judged(env).spec.max_episode_steps == env.spec.max_episode_steps
        assert envs.judged(env).spec.reward_threshold == WALK.spec.reward_threshold
        assert np.all(abs(judged_reward(env)) < 10)  # those with the wrapper are from 50 on
    shifted = count_from_zero(wrappers.clip_reward(walk(spaces.Discrete(30, start=-15), tf.identity)))
    assert envs.judged(shifted).spec.observation_space == spaces.Discrete(30)


def test_mountain_car_default():
    positions = np.float32([-1.2, 0.0, 0.1, 0.2, 0.25, 0.4, 0.5, 0.6])
    observations = np.stack([positions, np.zeros(8, np.float32)], axis=-1)
    rewards = wrappers.mountain_car_default(-observations, tf.zeros([8], tf.int32), -tf.ones([8]), observations)
    np.testing.assert_array_equal(rewards, np.float32([0, 0, 10, 10, 20, 20, 100, 100]) - 1)
    env = wrappers.shape_reward(envs.make("MountainCar-v0"), wrappers.mountain_car_default)
    state, _ = env.reset(random.key(0), 2)
    near = state.inner.inner._replace(position=tf.constant([0.2, -0.5]), velocity=tf.constant([0.06, 0.0]))
    state = state._replace(inner=state.inner._replace(inner=near))
    _, outcome = env.step(state, tf.constant([2, 2]), random.key(0))
    assert outcome.reward.numpy().tolist() == [19.0, -1.0]


@pytest.mark.parametrize(
    ("name", "hidden"),
    [
        ("CartPole-v1", [1, 3]),
        ("MountainCar-v0", [1]),
        ("MountainCarContinuous-v0", [1]),
        ("Pendulum-v1", [2]),
    ],
)
def test_velocities_are_hidden(name, hidden):
    task, version = name.split("-")
    env, full = envs.make(f"{task}NoVel-{version}"), envs.make(name)
    assert env.spec._replace(name=name) == full.spec
    assert env.spec.name == f"{task}NoVel-{version}"
    action = np.zeros([5, *full.spec.action_space.shape], full.spec.action_space.dtype)
    for environment in (env, full):
        state, _ = environment.reset(random.key(0), 5)
        state, outcome = environment.step(state, action, random.key(1))
        if environment is env:
            shown = outcome
    observation = outcome.observation.numpy().copy()
    assert np.all(observation[:, hidden] != 0)
    observation[:, hidden] = 0
    np.testing.assert_array_equal(shown.observation, observation)


def sticky_step(action):
    sticky = wrappers.sticky_actions(WALK)
    return sticky.step(sticky.reset(random.key(0), 2)[0], action, random.key(0))


NORMALIZED = wrappers.normalize_reward(WALK)
REFUSED = {
    "time_limit: max_episode_steps is 0, expected an integer": lambda: wrappers.time_limit(WALK, 0),
    "time_limit: max_episode_steps is 8, expected 1 to 7": lambda: wrappers.time_limit(WALK, 8),
    "time_limit: `moments/count` of the state.*put time_limit inside": lambda: wrappers.time_limit(NORMALIZED, 2).reset(
        random.key(0), 2
    ),
    "action_repeat: `moments/count` of the state": lambda: wrappers.action_repeat(NORMALIZED, 2).reset(
        random.key(0), 2
    ),
    "action_repeat: num_repeats is 1.5": lambda: wrappers.action_repeat(WALK, 1.5),
    "sticky_actions: probability is 1.5": lambda: wrappers.sticky_actions(WALK, 1.5),
    "normalize_observation: clip is 0": lambda: wrappers.normalize_observation(WALK, FROZEN, clip=0),
    "normalize_observation: epsilon is -1": lambda: wrappers.normalize_observation(WALK, FROZEN, epsilon=-1),
    r"normalize_observation: the moments have shape \(2,\), expected \(2, 3\)": lambda: wrappers.normalize_observation(
        PICTURES, FROZEN
    ),
    "normalize_observation: a part of the observation is MultiDiscrete": lambda: wrappers.normalize_observation(
        NESTED, FROZEN
    ),
    "does not count from 0: .*rl_fn.envs.count_from_zero": lambda: wrappers.flatten_observation(
        walk(spaces.Discrete(30, start=-15), tf.identity)
    ),
    "normalize_reward: gamma is 2": lambda: wrappers.normalize_reward(WALK, 2),
    "normalize_reward: clip is -1": lambda: wrappers.normalize_reward(WALK, clip=-1),
    "normalize_reward: epsilon is 0": lambda: wrappers.normalize_reward(WALK, epsilon=0),
    "scale_reward: factor is 0": lambda: wrappers.scale_reward(WALK, 0),
    "clip_reward: low is 1 and high is 1": lambda: wrappers.clip_reward(WALK, 1, 1),
    r"shape_reward: the function returns int32 \(\)": lambda: wrappers.shape_reward(WALK, lambda *_: 1).step(
        wrappers.ShapedState(*WALK.reset(random.key(0), 2)), tf.constant([0, 0]), random.key(0)
    ),
    "Walk-v0: the actions are float32, expected integers": lambda: sticky_step([0.9, 1.0]),
    r"Walk-v0: the actions have shape \(2, 1\), expected \(2,\)": lambda: sticky_step([[0], [1]]),
    "frame_stack: the observation is Dict": lambda: wrappers.frame_stack(NESTED, 2),
    "frame_stack: num_frames is 0": lambda: wrappers.frame_stack(WALK, 0),
    "frame_stack: stack_axis is 2, expected -2 to 1": lambda: wrappers.frame_stack(WALK, 2, stack_axis=2),
    "frame_stack: padding is 'last'": lambda: wrappers.frame_stack(WALK, 2, padding="last"),
    "one_hot_observation: the observation is Box": lambda: wrappers.one_hot_observation(WALK),
    r"mask_observation: keep is \[2\], expected some of \[0, 1\]": lambda: wrappers.mask_observation(WALK, [2]),
    r"mask_observation: keep is \[\]": lambda: wrappers.mask_observation(WALK, []),
    r"mask_observation: keep is \[1, 1\]": lambda: wrappers.mask_observation(WALK, [1, 1]),
    r"mask_observation: keep is \['boxes'\]": lambda: wrappers.mask_observation(NESTED, ["boxes"]),
    "mask_observation: the observation is Discrete": lambda: wrappers.mask_observation(PLACE, [0]),
}


@pytest.mark.parametrize("message", REFUSED)
def test_bad_arguments_are_refused(message):
    with pytest.raises(ValueError, match=message):
        REFUSED[message]()


def test_wrappers_take_compiled_environments():
    with pytest.raises(
        TypeError, match=r"clip_reward: env is 'CartPole-v1', expected .* rl.envs.make\('CartPole-v1'\)"
    ):
        wrappers.clip_reward("CartPole-v1")
    with pytest.raises(TypeError, match="frame_stack: env is a CartPoleEnv, expected a compiled environment"):
        wrappers.frame_stack(gymnasium.make("CartPole-v1").unwrapped, 4)
