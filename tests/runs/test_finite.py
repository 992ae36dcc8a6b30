"""A run that turns to NaN stops, says where, and keeps what was good."""

import math

import numpy as np
import pytest
import tensorflow as tf

from rl_fn import envs, loops, random
from rl_fn.loops import ActorsState, TrainState
from rl_fn.runs import Run, checkpoint, finite
from tests.runs import tiny


@pytest.fixture(scope="module")
def env():
    return envs.make("Catch-bsuite")


def agent(lost, after=30):
    """The tiny agent, of which something becomes `lost` in its update number `after`."""
    good = tiny.agent()

    def update(state, trajectory, key):
        state, metrics = good.update(state, trajectory, key)
        is_due = state.policy == after
        if lost == "state":
            state = state._replace(digest=tf.where(is_due, np.inf, state.digest))
        else:
            metrics = {**metrics, "seen": tf.where(is_due, np.nan, metrics["seen"])}
        return state, metrics

    return good._replace(update=update)


def make(agent, env, folder, **settings):
    settings = {"train_steps": 640, "eval_episodes": 0, "checkpoint_seconds": 0.0, **settings}
    return Run(agent, env, folder, **settings)


@pytest.mark.parametrize(("lost", "name"), [("state", "digest of the agent's state"), ("metric", "metric seen")])
def test_the_first_chunk_with_a_lost_number_stops_the_run(env, tmp_path, lost, name):
    run = make(agent(lost), env, tmp_path)
    with pytest.raises(
        loops.NonFiniteError, match=f"^{name} is no longer finite after 2[4-9][0-9] steps; the last good"
    ):
        list(run)
    assert run.iteration >= 30
    good = checkpoint.list_iterations(run.folder() / "checkpoints")
    assert good
    assert good[-1] < 30
    assert run.summary is None


def test_it_says_of_which_seed(env, tmp_path):
    good = agent("state")
    first = iter([True, False])

    def init(key):
        state = good.init(key)
        return state if next(first) else state._replace(digest=tf.constant(np.nan))

    run = make(good._replace(init=init), env, tmp_path, copies=2, seed=5)
    with pytest.raises(loops.NonFiniteError, match=r"digest of the agent's state of seed 6 is .* no checkpoint was"):
        list(run)


def test_a_checkpoint_that_is_lost_is_not_gone_on_from(env, tmp_path):
    run = make(tiny.agent(), env, tmp_path)
    next(iter(run))
    run.close()
    state = run._compile().read()
    lost = state._replace(agent=state.agent._replace(digest=tf.constant(np.nan)))
    folder = run.folder() / "checkpoints"
    told = checkpoint.load(checkpoint.path_of(folder, 1)).metadata
    checkpoint.save(folder, 1, lost, told)
    with pytest.raises(loops.NonFiniteError, match=r"^digest is not finite in the checkpoint at 8 steps"):
        list(make(tiny.agent(), env, tmp_path))


def test_buffers_and_whole_numbers_are_not_asked():
    state = {"replay": {"rewards": np.array([np.nan])}, "count": np.array(3), "params": np.array([1.0, np.inf])}
    assert list(loops.nonfinite(state)) == [("params", 0)]
    copies = {"params": np.array([[1.0, 2.0], [np.nan, 1.0], [3.0, 3.0]])}
    assert list(loops.nonfinite(copies, 3)) == [("params", 1)]


def compiled(episode_return, loss=math.nan):
    actors = ActorsState((), tf.ones([1, 2]), (), tf.constant([episode_return]), tf.constant([3]))
    state = TrainState({"loss": tf.constant(loss)}, actors, random.key(0), tf.constant(1), ())
    return loops.compile(lambda state: (state, ()), state)


class Chunk:
    """Its metrics are finite."""

    nonfinite = ()


def test_an_environment_that_may_have_begun_it_is_named_first():
    with pytest.raises(
        loops.NonFiniteError, match=r"^return of the environment, loss of the agent's state are no longer"
    ):
        finite.check_chunk(compiled(math.nan), Chunk(), [0], "after 3 steps")


def test_one_that_is_right_is_not_named():
    with pytest.raises(loops.NonFiniteError, match=r"^loss of the agent's state is no longer finite after 3 steps"):
        finite.check_chunk(compiled(1.0), Chunk(), [0], "after 3 steps")
    finite.check_chunk(compiled(1.0, loss=0.5), Chunk(), [0], "after 3 steps")
