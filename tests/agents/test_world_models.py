"""World models: what is recorded, the clock of the stages, controllers, dreams, and what candidates come to."""

import numpy as np
import pytest
import tensorflow as tf
from gymnasium import spaces

from rl_fn import envs, learning, networks, random, sets
from rl_fn.agents import world_model_stages as stages
from rl_fn.agents.world_model_parts import STAGES, WorldModelsHParams, controls, pictures
from rl_fn.struct import Transition

SMALL = {
    "train_steps": 2 * 5 * 24,
    "num_envs": 2,
    "rollout_length": 5,
    "recording_rows": 20,
    "stage_shares": (1, 1, 2, 4),
    "rounds": 3,
    "sequence_length": 4,
    "warm_up": 1,
}


def test_a_recording_keeps_the_newest_rows_and_windows_are_successive():
    recording = learning.empty_recording({"time": tf.TensorSpec([], tf.int32)}, 6, 2)
    for first in (0, 2, 4, 6):  # rows 0 to 7, each of two environments
        times = tf.range(first, first + 2)[:, tf.newaxis] + tf.constant([0, 100])
        recording = learning.record(recording, {"time": times})
    assert int(recording.num_rows) == 6
    windows = learning.sample_windows(recording, recording.steps, random.key(0), 200, 3)["time"].numpy()
    np.testing.assert_array_equal(windows[1:], np.add(windows[:1], [[1], [2]]))
    assert set(windows[0]) == {2, 3, 4, 5, 102, 103, 104, 105}  # 0 and 1 were overwritten


def test_windows_of_a_recording_that_is_not_full_are_of_what_is_there():
    recording = learning.empty_recording({"time": tf.TensorSpec([], tf.int32)}, 6, 1)
    recording = learning.record(recording, {"time": tf.constant([[7], [8], [9]])})
    windows = learning.sample_windows(recording, recording.steps, random.key(0), 50, 2)["time"].numpy()
    assert set(windows[0]) == {7, 8}


def test_first_steps_of_a_recording_are_those_after_an_end_or_any_where_there_is_none():
    spec = {"time": tf.TensorSpec([], tf.int32), "is_last": tf.TensorSpec([], tf.bool)}
    recording = learning.empty_recording(spec, 6, 2)

    def found(ends):
        nonlocal recording
        first = int(recording.count)
        times = tf.range(first, first + 2)[:, tf.newaxis] + tf.constant([0, 100])
        steps = {"time": times, "is_last": tf.constant([[time in ends for time in row] for row in times.numpy()])}
        recording = learning.record(recording, steps)
        drawn = learning.sample_firsts(
            recording, recording.steps["time"], recording.steps["is_last"], random.key(0), 200
        )
        return {time: round(np.mean(drawn.numpy() == time), 1) for time in set(drawn.numpy().tolist())}

    assert set(found([])) == {0, 1, 100, 101}
    assert set(found([3])) == {0, 1, 2, 3, 100, 101, 102, 103}  # what follows on 3 is not there yet
    assert found([104]) == {4: 0.5, 105: 0.5}
    assert found([]) == {4: 0.5, 105: 0.5}
    assert found([8, 109]) == {105: 0.5, 9: 0.5}  # 4 to 9 are there, and the end before 4 is not


def test_steps_are_repeated_as_often_as_they_are_due():
    def step(state, key):
        return state + 2.0, {"before": state}

    for count, total in ((0, 0.0), (3, 0.0 + 2 + 4)):
        after, metrics = learning.repeat(step, tf.constant(0.0), tf.constant(count), random.key(0), ("before",))
        assert float(after) == 2 * count
        assert [float(x) for x in metrics["before"]] == [total, count]


def test_the_stages_follow_each_other_in_each_round():
    hparams = WorldModelsHParams(**SMALL)
    told = [hparams.stage(tf.constant(update)) for update in range(hparams.num_iterations + 1)]
    names = [STAGES[int(stage)] for stage, _ in told]
    one = ["collection", "vision", "memory", "memory", *["controller"] * 4]
    assert names == [*one, *one, *one, "controller"]
    begins = [update for update, (_, begins) in enumerate(told) if begins]
    assert begins == [0, 1, 2, 4, 8, 9, 10, 12, 16, 17, 18, 20]
    assert [bool(hparams.is_random(tf.constant(update))) for update in (0, 3, 4, 8)] == [True, True, False, False]


FEW = {"image_size": 8, "features": (2,), "latent_size": 2, "memory_units": 2, "mixture_components": 2}
ONE_STEP = {"vision_batch": 2, "memory_batch": 2, "population": 4, "dream_starts": 1}


def updated(num_updates, rewards=0.0, ended=False, change=lambda state: state, **values):
    """An agent of few parameters, its state after that many updates, and what one more of all the same steps makes."""
    hparams = WorldModelsHParams(**{**SMALL, **FEW, **ONE_STEP, **values})
    agent = sets.agent_module("world_models").make(envs.make("CatchPixels-bsuite", size=8).spec, hparams)
    state = change(agent.init(random.key(0))._replace(num_updates=tf.constant(num_updates)))
    size = [5, hparams.num_envs]
    observation = tf.zeros([*size, 8, 8, 3], tf.uint8)
    step = agent.act(state.policy, agent.init_actor(hparams.num_envs), observation[0], random.key(1), "train")
    along = lambda leaf: tf.stack([leaf] * 5)
    flag, extras = tf.zeros(size, tf.bool), tf.nest.map_structure(along, step.extras)
    is_last, reward = tf.fill(size, ended), tf.fill(size, rewards)
    trajectory = Transition(observation, along(step.action), reward, is_last, flag, observation, extras)
    return agent, state, *tf.function(agent.update, autograph=False)(state, trajectory, random.key(2))


def test_the_step_size_is_that_of_the_time_in_the_run_however_many_gradient_steps_there_were():
    values = {"vision_steps": 3, "learning_rate": 0.1, "anneal_learning_rate": True}
    *_, metrics = updated(9, **values)  # of 24; V's stage of the second round
    assert metrics["vision_learning_rate"].count == 3
    np.testing.assert_allclose(metrics["vision_learning_rate"].total, 3 * 0.1 * (1 - 9 / 24), rtol=1e-5)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"stage_shares": (1, 1)}, r"stage_shares is \(1, 1\), expected 4 positive integers"),
        ({"recording_rows": 12}, "recording_rows is 12, expected a multiple of rollout_length = 5"),
        ({"train_steps": 100}, "train_steps is 100, which makes 3 updates a round, expected enough for each"),
        ({"sequence_length": 5}, "5 steps of each environment are recorded before V learns, expected at least 6"),
        (
            {"controller_training": "environment", "population": 4},
            "num_envs is 2, expected a multiple of population = 4, whose candidates are tried in environments",
        ),
        (
            {"controller_training": "environment", "population": 4, "num_envs": 4, "actor_lag": 1, "train_steps": 480},
            "actor_lag is 1, expected 0 with controller_training = environment",
        ),
    ],
)
def test_numbers_that_do_not_fit_are_refused(values, message):
    with pytest.raises(ValueError, match=message):
        WorldModelsHParams(**{**SMALL, **values})


def test_candidates_that_are_tried_in_environments_are_not_shared_out():
    trying = {"controller_training": "environment", "population": 4, "num_envs": 8, "train_steps": 8 * 5 * 24}
    alone = WorldModelsHParams(**{**SMALL, **trying})
    with pytest.raises(ValueError, match="controller_training is 'environment', expected 'dream' where workers share"):
        alone.of_actors(4, 4)
    dreaming = alone.override(controller_training="dream")
    assert dreaming.of_actors(4, 4) == dreaming


def test_other_observations_and_actions_are_refused():
    hparams = WorldModelsHParams()
    make = sets.agent_module("world_models").make
    with pytest.raises(ValueError, match=r"world_models needs pictures, a Box \[H, W, C\] of bytes or of 0 to 1"):
        make(envs.make("CartPole-v1").spec, hparams)
    spec = envs.make("PendulumPixels-v1").spec
    with pytest.raises(ValueError, match="world_models needs a Discrete action space or a Box, given MultiDiscrete"):
        make(spec._replace(action_space=spaces.MultiDiscrete([2, 2])), hparams)
    with pytest.raises(ValueError, match=r"features is \(\), expected the channels of at least one layer"):
        make(spec, hparams.override(features=()))
    with pytest.raises(ValueError, match="world_models needs pictures, a Box"):
        make(spec._replace(observation_space=spaces.Box(-1, 1, [64, 64, 3])), hparams)
    with pytest.raises(ValueError, match=r"the image is 60 x 60, expected multiples of 2 \*\* 4"):
        make(spec, hparams.override(image_size=60))


def test_pictures_are_made_smaller_by_means_and_grids_larger():
    spec, shrink = pictures(spaces.Box(0, 255, [4, 6, 1], np.uint8), 2)
    frame = np.zeros([1, 4, 6, 1], np.uint8)
    frame[0, :2, :3] = 200
    frame[0, 2, 3] = 120
    assert spec == tf.TensorSpec([2, 2, 1], tf.uint8)
    assert shrink(frame)[0, :, :, 0].numpy().tolist() == [[200, 0], [0, 20]]
    _, enlarge = pictures(spaces.Box(0, 1, [1, 2, 1], bool), 4)
    assert enlarge(np.array([[[[True], [False]]]]))[0, :, :, 0].numpy().tolist() == [[255, 255, 0, 0]] * 4


def test_a_controller_is_linear_in_what_is_seen_and_remembered():
    box = controls(spaces.Box(np.float32([-1, 0]), np.float32([3, 0.5])), 3)
    assert (box.size, box.num_weights) == (2, 8)
    weights = tf.constant([[1.0, 0, 0, 1, 0.5, 0, 0.1, 0.2]])  # rows are features; the last two are biases
    latent, hidden = tf.constant([[[0.3, -0.4]]]), tf.constant([[[1.0]]])
    vector = box.choose(weights, latent, hidden)
    np.testing.assert_allclose(vector, np.tanh([[[0.3 + 0.5 + 0.1, -0.4 + 0.2]]]), rtol=1e-6)
    np.testing.assert_allclose(box.to_action(tf.constant([[1.0, -0.5]])), [[3.0, 0.125]], rtol=1e-6)
    choice = controls(spaces.Discrete(3), 1)
    chosen = choice.choose(tf.constant([[1.0, 2.0, -1.0, 0, 0, 5]]), tf.zeros([1, 2, 0]), tf.constant([[[1.0], [4.0]]]))
    assert chosen.numpy().tolist() == [[[0, 0, 1], [0, 1, 0]]]
    assert choice.to_action(chosen[0]).numpy().tolist() == [2, 1]


@pytest.mark.parametrize("space", [spaces.Discrete(3), spaces.Box(-2, 2, [1])])
def test_random_actions_are_held(space):
    control = controls(space, 1)
    first = control.held(random.key(0), tf.zeros([500, control.size]), 0.8)
    then = control.held(random.key(1), first, 0.8)
    same = np.mean(np.all(first == then, axis=-1))
    expected = 0.8 + 0.2 / 3 if isinstance(space, spaces.Discrete) else 0.8
    assert same == pytest.approx(expected, abs=0.05)
    assert np.all(np.any(first != 0, axis=-1))


def test_the_return_of_a_dream_counts_the_probability_that_it_lasts():
    reward, end = tf.constant([[1.0], [2.0], [4.0]]), tf.constant([[0.5], [0.25], [0.0]])
    dream = learning.Dream(latent=(), action=(), reward=reward, end_probability=end)
    np.testing.assert_allclose(dream.returns(), [1 + 0.5 * 2 + 0.5 * 0.75 * 4])
    np.testing.assert_allclose(dream.returns(0.5), [1 + 0.25 * 2 + 0.25 * 0.375 * 4])


def test_a_dream_goes_on_from_its_own_steps():
    memory = networks.mixture_density_memory(2, 1, 3, 2)
    params = memory.init(random.key(0))
    latent, state = tf.constant([[0.5, -0.5]]), memory.initial_state(1)
    control = lambda latent, hidden: tf.tanh(latent[..., :1] + hidden[..., :1])
    dream = learning.dream(memory, params, latent, state, control, random.key(1), 3, 1.0)
    for t, key in enumerate(tf.unstack(random.split(random.key(1), 3))):
        np.testing.assert_allclose(dream.latent[t], latent, rtol=1e-5)
        action = control(latent, state[0])
        prediction, state = memory.step(params, state, latent, action)
        np.testing.assert_allclose(dream.reward[t], prediction.reward, rtol=1e-4)
        latent = prediction.latent.sample(key)


def test_candidates_come_to_the_returns_of_the_episodes_that_began_under_them():
    zeros = tf.zeros([2])
    trial = stages.Trial(tf.zeros([2, 1]), tf.constant([5.0, 5.0]), tf.constant([False, True]), zeros, zeros)
    reward = tf.constant([[1.0, 1.0], [2.0, 2.0], [3.0, 3.0]])
    is_last = tf.constant([[True, True], [False, False], [True, False]])
    steps = Transition((), (), reward, is_last, tf.zeros_like(is_last), (), {})
    after = stages.tried(trial, steps)
    assert after.total.numpy().tolist() == [5.0, 6.0]  # 2 + 3 anew, and 5 + 1 that had begun
    assert after.count.numpy().tolist() == [1.0, 1.0]
    assert after.returns.numpy().tolist() == [0.0, 5.0]


def test_a_search_begins_with_candidates_of_its_own_and_nothing_that_others_came_to():
    narrow = lambda state: state._replace(
        search=state.search._replace(mean=tf.ones_like(state.search.mean), generation=tf.constant(7)),
        trial=state.trial._replace(candidates=tf.zeros_like(state.trial.candidates)),
    )
    of_environments = {"controller_training": "environment", "num_envs": 4, "train_steps": 4 * 5 * 24}
    _, _, after, metrics = updated(12, rewards=1.0, ended=True, change=narrow, **of_environments)
    assert int(after.search.generation) == 0
    assert metrics["search_return"].count == 0
    candidates = after.trial.candidates.numpy()
    np.testing.assert_allclose([candidates.mean(), candidates.std()], [1.0, 0.5], atol=0.25)
    assert not np.any(after.trial.count)
    assert np.all(after.trial.began)


def test_where_environments_begin_anew_no_episode_goes_on():
    fill = lambda leaf: tf.cast(tf.fill(leaf.shape, 3.0), leaf.dtype)
    begun = lambda state: state._replace(trial=tf.nest.map_structure(fill, state.trial))
    agent, empty, state, _ = updated(0, change=begun)
    assert not np.any(agent.cut(empty).recording.steps.is_last)  # nothing is recorded yet
    cut = agent.cut(state)
    assert np.flatnonzero(cut.recording.steps.is_last.numpy().all(axis=1)).tolist() == [4]  # of five steps
    assert not np.any(state.recording.steps.is_last)
    assert not np.any(cut.recording.steps.terminated)
    assert np.all(state.trial.returns == 3)
    assert not np.any([cut.trial.returns, tf.cast(cut.trial.began, tf.float32)])
    assert np.all(tf.stack([cut.trial.total, cut.trial.count]) == 3)  # what is over stays


@pytest.mark.parametrize("ended", [False, True])
def test_dreams_end_only_where_a_recorded_episode_did(ended):
    spec = envs.make("PendulumPixels-v1").spec
    hparams = WorldModelsHParams(
        **{**SMALL, "latent_size": 2, "memory_units": 3, "population": 4, "dream_starts": 2, "dream_length": 3}
    )
    parts = hparams.make_parts(spec)
    params = parts.memory.init(random.key(0))
    bias = params["head"]["bias"].numpy()
    bias[-2:] = -1.0, 20.0  # every step costs one, and is the last for certain
    kernel = tf.zeros_like(params["head"]["kernel"])
    params = {**params, "head": {"kernel": kernel, "bias": tf.constant(bias)}}
    number, flag = tf.zeros([20, 2]), tf.zeros([20, 2], tf.bool)
    latents = networks.Posterior(tf.zeros([20, 2, 2]), tf.zeros([20, 2, 2]))
    terminated = tf.tensor_scatter_nd_update(flag, [[7, 1]], [ended])
    steps = stages.Step((), tf.zeros([20, 2, 1]), number, terminated, flag, latents)
    strategy = parts.strategy.init(tf.zeros([parts.control.num_weights]))
    search = stages.Search(strategy, parts.strategy.ask(strategy, random.key(1)))
    recording = learning.Recording(steps, tf.constant(20))
    _, metrics = stages.search_in_dreams(parts, search, params, recording, tf.constant(1), random.key(2), hparams)
    assert float(metrics["search_return"].total) == pytest.approx(-1.0 if ended else -3.0, abs=1e-4)


@pytest.mark.parametrize(("fraction", "expected"), [(0.0, 0.0), (0.5, 2.5), (1.0, 5.0)])
def test_a_part_of_the_dreams_begins_where_episodes_did(fraction, expected):
    hparams = WorldModelsHParams(
        **SMALL, latent_size=2, memory_units=3, population=4, dream_starts=4, dream_length=1, first_fraction=fraction
    )
    parts = hparams.make_parts(envs.make("PendulumPixels-v1").spec)
    number, flag = tf.zeros([20, 2]), tf.zeros([20, 2], tf.bool)
    is_last = tf.tensor_scatter_nd_update(flag, [[6, 1]], [True])
    mean = tf.tensor_scatter_nd_update(tf.zeros([20, 2, 2]), [[7, 1]], [[5.0, 5.0]])  # of the step after
    latents = networks.Posterior(mean, tf.fill([20, 2, 2], -20.0))
    steps = stages.Step((), tf.zeros([20, 2, 1]), number, flag, is_last, latents)

    def step(params, state, latent, action):  # the reward is the latent's first number
        prediction, state = memory.step(params, state, latent, action)
        return prediction._replace(reward=latent[..., 0]), state

    memory = parts.memory
    parts = parts._replace(memory=memory._replace(step=step))
    strategy = parts.strategy.init(tf.zeros([parts.control.num_weights]))
    search = stages.Search(strategy, parts.strategy.ask(strategy, random.key(1)))
    recording, params = learning.Recording(steps, tf.constant(20)), memory.init(random.key(0))
    _, metrics = stages.search_in_dreams(parts, search, params, recording, tf.constant(1), random.key(2), hparams)
    assert float(metrics["search_return"].total) == pytest.approx(expected, abs=1e-3)
