"""Settings one after the other in environments on the host: each run is what it would be alone."""

import numpy as np
import pytest

from rl_fn import envs
from rl_fn.runs import Run
from rl_fn.search import SearchConfig
from rl_fn.search.host import HostProgram
from rl_fn.search.plan import Plan
from rl_fn.search.program import Placed
from tests.search import tunes

SLOW, FAST = {"decay": 0.9, "offset": 0.5}, {"decay": 0.1, "offset": 0.0}
ENV = "gymnasium:CartPole-v1"


@pytest.fixture(scope="module")
def trained():
    """What three runs came to in the first of two parts, and the program after the second."""
    make_env = lambda num_envs: envs.make(ENV, num_envs)
    program = HostProgram(lambda settings: tunes.of(**settings), make_env, ["decay", "offset"], 2, iterations=10)
    program.place({0: Placed(SLOW, 0), 1: Placed(FAST, 0), 2: Placed(SLOW, 0)})
    program.train([0, 1, 2], 5)
    first = [program._copies[copy].state.agent.agent.digest.numpy() for copy in range(3)]
    returns = program.train([0, 2], 5)
    yield first, returns, program
    program.close()


def test_a_run_is_the_same_whichever_ran_before_it_and_as_it_is_alone(trained, tmp_path):
    first, returns, _ = trained
    assert first[0] == first[2]
    assert first[0] != first[1]
    assert np.array_equal(returns[0], returns[1])
    alone = Run(tunes.of(**SLOW), envs.make(ENV, 2), tmp_path, train_steps=40, eval_episodes=0, reporters=[])
    list(alone)
    assert alone.leaves(lambda name: name.endswith("digest"))["agent/digest"] == first[0]


def test_all_of_them_are_compiled_once_and_none_is_kept_at_its_end(trained):
    _, returns, program = trained
    assert program.trace_count == 1
    assert returns.shape == (2, 2)
    assert [copy for copy in range(3) if program._copies[copy].state is not None] == [1]


def test_trials_on_the_host_are_trained_one_after_the_other(tmp_path):
    assert Plan(SearchConfig("tunes", tmp_path, env=ENV)).batch == 1
    assert Plan(SearchConfig("tunes", tmp_path)).batch == 8
    with pytest.raises(ValueError, match="batch is 4, expected 1: gymnasium:CartPole-v1 is stepped on the host"):
        Plan(SearchConfig("tunes", tmp_path, env=ENV, batch=4))
