import gymnasium
import numpy as np
import pytest
import tensorflow as tf

from rl_fn import envs, networks, random
from rl_fn._src.scan import scan
from rl_fn.envs.compiled import minatar
from rl_fn.envs.compiled.minatar import asterix, breakout, freeway, seaquest, space_invaders
from rl_fn.envs.compiled.minatar.game import ACTIONS, DOWN, FIRE, LEFT, NOOP, RIGHT, UP

CHANNELS = {"Asterix": 4, "Breakout": 4, "Freeway": 7, "Seaquest": 10, "SpaceInvaders": 6}
MINIMAL = {
    "Asterix": (NOOP, LEFT, UP, RIGHT, DOWN),
    "Breakout": (NOOP, LEFT, RIGHT),
    "Freeway": (NOOP, UP, DOWN),
    "Seaquest": ACTIONS,
    "SpaceInvaders": (NOOP, LEFT, RIGHT, FIRE),
}
NUM_STEPS, BATCH = 60, 8


def play(env, key, num_steps=NUM_STEPS, batch_size=BATCH):
    """Random actions; the actions and steps stacked over time, with the observations that they began with."""
    start_key, key = tf.unstack(random.split(key))
    carry = env.reset(start_key, batch_size)

    def step(carry, keys):
        state, observation = carry
        actions = random.randint(keys[0], [batch_size], 0, int(env.spec.action_space.n))
        state, outcome = env.step(state, actions, keys[1])
        return (state, outcome.observation), (observation, actions, outcome)

    return scan(step, carry, tf.reshape(random.split(key, 2 * num_steps), [num_steps, 2, 2]))


def numpy(nest):
    return tf.nest.map_structure(lambda leaf: leaf.numpy(), nest)


@pytest.fixture(scope="module", params=CHANNELS)
def vectorized(request):
    """A game played by two copies in one compiled program, with the truncation of episodes after 25 steps."""
    env = envs.make(f"MinAtar/{request.param}-v0", max_episode_steps=25)
    keys = tf.stack([random.key(1), random.key(2)])
    compiled = tf.function(
        lambda keys: tf.vectorized_map(lambda key: play(env, key), keys, fallback_to_while_loop=False),
        jit_compile=True,
        autograph=False,
    )
    return env, numpy(compiled(keys))


def test_copies_play_as_one_does_alone(vectorized):
    env, (final, steps) = vectorized
    for copy in range(2):
        # In a graph and not compiled.
        alone = tf.function(lambda key: play(env, key), autograph=False)(random.key(1 + copy))
        tf.nest.map_structure(
            lambda ours, both, copy=copy: np.testing.assert_array_equal(ours, both[copy]), alone, (final, steps)
        )
    observations = steps[0]
    assert np.any(observations[0] != observations[1])


def test_episodes_end_and_begin_anew(vectorized):
    env, (_, (observations, _, outcome)) = vectorized
    done = outcome.terminated | outcome.truncated
    assert outcome.truncated.sum() > 0
    # [copies, T, B, ...]: the policy sees the true successor, except where an episode has ended.
    np.testing.assert_array_equal(outcome.observation[~done], outcome.next_observation[~done])
    np.testing.assert_array_equal(observations[:, 1:], outcome.observation[:, :-1])
    _, first = env.reset(random.key(0), 64)
    starts = outcome.observation[done]
    if env.spec.name.startswith(("MinAtar/Freeway", "MinAtar/Breakout")):
        player = 0 if "Freeway" in env.spec.name else 3  # the chicken, and the bricks
        starts, first = starts[..., player], first.numpy()[..., player]
    np.testing.assert_array_equal(starts, np.broadcast_to(first[:1], starts.shape))
    assert np.all(np.any(outcome.next_observation[done] != outcome.observation[done], axis=(1, 2, 3)))


def test_truncation_counts_from_the_start_of_the_episode(vectorized):
    _, (_, (_, _, outcome)) = vectorized
    lengths = []
    for terminated, truncated in zip(
        np.moveaxis(outcome.terminated, 1, 2).reshape(-1, NUM_STEPS),
        np.moveaxis(outcome.truncated, 1, 2).reshape(-1, NUM_STEPS),
        strict=True,
    ):
        ends = np.flatnonzero(terminated | truncated)
        lengths += np.diff(ends, prepend=-1)[truncated[ends]].tolist()
    assert set(lengths) == {25}


@pytest.mark.parametrize("game", CHANNELS)
def test_specification(game):
    for version, actions in enumerate((ACTIONS, MINIMAL[game])):
        spec = envs.make(f"MinAtar/{game}-v{version}").spec
        assert spec.name == f"MinAtar/{game}-v{version}"
        assert spec.action_space == gymnasium.spaces.Discrete(len(actions))
        assert spec.observation_space.shape == (10, 10, CHANNELS[game])
        assert spec.observation_space.dtype == bool
        assert spec.max_episode_steps is None
    assert minatar.GAMES[game].minimal_actions == MINIMAL[game]


def test_minimal_actions_are_those_of_the_full_set():
    full, minimal = (envs.make(f"MinAtar/SpaceInvaders-v{v}", sticky_action_prob=0.0) for v in (0, 1))
    state, _ = full.reset(random.key(0), 4)
    _, all_six = full.step(state, tf.constant(MINIMAL["SpaceInvaders"]), random.key(1))
    _, chosen = minimal.step(state, tf.range(4), random.key(1))
    np.testing.assert_array_equal(all_six.observation, chosen.observation)
    assert len(np.unique(chosen.observation.numpy().reshape(4, -1), axis=0)) == 4


@pytest.mark.parametrize("prob", [0.0, 0.25, 1.0])
def test_sticky_actions_repeat_the_last_one(prob):
    env = envs.make("MinAtar/Asterix-v0", sticky_action_prob=prob)
    state, _ = env.reset(random.key(0), 10_000)
    state, _ = env.step(state, tf.fill([10_000], LEFT), random.key(1))
    first = state.inner.last_action.numpy()
    state, _ = env.step(state, tf.fill([10_000], UP), random.key(2))
    column, row = state.inner.game.player_column.numpy(), state.inner.game.player_row.numpy()
    assert set(first) <= {NOOP, LEFT}
    assert np.mean(first == NOOP) == pytest.approx(prob, abs=0.02)
    # The second step repeats what the first carried out.
    repeated = row == 5
    assert repeated.mean() == pytest.approx(prob, abs=0.02)
    np.testing.assert_array_equal(column, 5 - (first == LEFT) * (1 + repeated))


def test_the_last_action_is_forgotten_between_episodes():
    env = envs.make("MinAtar/Asterix-v0", sticky_action_prob=1.0, max_episode_steps=2)
    state, _ = env.reset(random.key(0), 1)
    state = state._replace(inner=state.inner._replace(last_action=tf.constant([LEFT])))
    state, _ = env.step(state, tf.constant([UP]), random.key(1))
    assert state.inner.last_action.numpy() == [LEFT]
    state, outcome = env.step(state, tf.constant([UP]), random.key(2))
    assert outcome.truncated.numpy() == [True]
    assert state.inner.last_action.numpy() == [NOOP]


def test_asterix_ramps_with_time():
    compiled = tf.function(asterix.dynamics, jit_compile=True, autograph=False)
    decisions = asterix.decide(tf.zeros([1, 3]) + 0.9)
    levels = {}
    for ramping in (True, False):
        state, indices = asterix.start(random.key(0), 1), []
        for _ in range(520):
            state, _, _ = compiled(state, tf.constant([NOOP]), decisions, ramping)
            indices.append(state.ramp_index.numpy()[0])
        levels[ramping] = np.flatnonzero(np.diff(indices)).tolist(), state
    assert levels[True][0] == [100, 202, 304, 406, 508]
    assert (levels[True][1].spawn_interval.numpy(), levels[True][1].move_interval.numpy()) == ([5], [3])
    assert levels[False][0] == []
    assert (levels[False][1].spawn_interval.numpy(), levels[False][1].move_interval.numpy()) == ([10], [5])


def test_space_invaders_ramp_with_each_wave():
    state = space_invaders.start(random.key(0), 1)
    one_left = np.zeros([1, 10], np.int32)
    one_left[0, 2] = 1 << 5
    for ramping, expected in ((True, 11), (False, 12)):
        bullet = np.roll(one_left, 1, axis=1)
        cleared = state._replace(aliens=tf.constant(one_left), bullets=tf.constant(bullet))
        successor, reward, _ = space_invaders.dynamics(cleared, tf.constant([NOOP]), (), ramping)
        assert reward.numpy() == [1]
        assert successor.move_interval.numpy() == [expected]
        np.testing.assert_array_equal(successor.aliens, state.aliens)


def test_seaquest_rewards_six_divers_and_ramps():
    state = seaquest.start(random.key(0), 3)._replace(
        row=tf.constant([1, 1, 1]),
        at_surface=tf.constant([False] * 3),
        diver_count=tf.constant([6, 2, 0]),
        oxygen=tf.constant([150] * 3),
    )
    decisions = seaquest.decide(tf.zeros([3, 5]))
    for ramping in (True, False):
        successor, reward, terminated = seaquest.dynamics(state, tf.fill([3], UP), decisions, ramping)
        assert reward.numpy().tolist() == [7, 0, 0]
        assert terminated.numpy().tolist() == [False, False, True]
        assert successor.oxygen.numpy().tolist() == [200, 200, 150]
        assert successor.diver_count.numpy().tolist() == [-1, 1, 0]
        assert successor.spawn_interval.numpy().tolist() == ([19, 19, 20] if ramping else [20] * 3)


def test_freeway_ends_after_2501_steps():
    state = freeway.start(random.key(0), 1)._replace(time_left=tf.constant([1]))
    for expected in (False, True):
        state, _, terminated = freeway.dynamics(state, tf.constant([NOOP]), state.velocity, True)
        assert terminated.numpy() == [expected]


def test_cars_have_all_speeds_in_both_directions_alike():
    velocity = freeway.start(random.key(0), 20_000).velocity.numpy()
    values, counts = np.unique(velocity, return_counts=True)
    assert values.tolist() == [-5, -4, -3, -2, -1, 1, 2, 3, 4, 5]
    np.testing.assert_allclose(counts / counts.sum(), 0.1, atol=0.004)


def test_breakout_breaks_a_brick_and_bounces():
    state = breakout.start(random.key(0), 1)._replace(
        row=tf.constant([4]), column=tf.constant([5]), row_velocity=tf.constant([-1]), column_velocity=tf.constant([1])
    )
    successor, reward, terminated = breakout.dynamics(state, tf.constant([NOOP]), (), True)
    assert (reward.numpy(), terminated.numpy()) == ([1], [False])
    assert breakout.observe(successor).numpy()[0, 3, :, 3].tolist() == [True] * 6 + [False] + [True] * 3
    assert (successor.row.numpy(), successor.column.numpy(), successor.row_velocity.numpy()) == ([4], [6], [1])


def test_render_and_flatten():
    for game, channels in CHANNELS.items():
        env = envs.make(f"MinAtar/{game}-v0")
        state, observation = env.reset(random.key(0), 2)
        picture = env.render(tf.nest.map_structure(lambda leaf: leaf.numpy()[0], state))
        assert picture.dtype == np.uint8
        assert picture.shape[2] == 3
        assert len(np.unique(picture.reshape(-1, 3), axis=0)) > 2
        spec, vector = networks.flatten(env.spec.observation_space)
        assert spec.shape == [100 * channels]
        assert vector(observation).numpy().sum() == observation.numpy().sum() > 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"difficulty_ramping": "no"}, "difficulty_ramping is 'no', expected True or False"),
        ({"sticky_action_prob": 1.5}, r"sticky_action_prob is 1.5, expected a number in \[0, 1\]"),
        ({"max_episode_steps": 0}, "max_episode_steps is 0, expected an integer of at least 1"),
        ({"game": "Pong"}, "game is 'Pong', expected one of Asterix, Breakout, Freeway, Seaquest, SpaceInvaders"),
    ],
)
def test_bad_arguments_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        envs.make("MinAtar/Asterix-v0", **arguments)
