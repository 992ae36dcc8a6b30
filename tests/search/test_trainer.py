"""Parts of trials and generations of a population: together they are as long as a run."""

import contextlib

import pytest

from rl_fn.search import Evolution, SearchConfig
from rl_fn.search.plan import Plan
from rl_fn.search.program import Placed
from rl_fn.search.trainer import LocalTrainer

LENGTH = 56  # steps, in seven iterations
GIVEN = {"imports": "tests.search.tunes", "space": "decay,offset", "eval_episodes": 1, "train_steps": LENGTH}
never = lambda: False


@pytest.fixture
def trainer(tmp_path):
    """Of two trials of one seed side by side."""
    with contextlib.closing(LocalTrainer(Plan(SearchConfig("tunes", tmp_path, trials=2, seeds=1, **GIVEN)))) as made:
        yield made


@pytest.fixture
def host_trainer(tmp_path):
    """Of one trial of one seed, on the host."""
    config = SearchConfig("tunes", tmp_path, env="gymnasium:CartPole-v1", seeds=1, **GIVEN)
    with contextlib.closing(LocalTrainer(Plan(config))) as made:
        yield made


def test_as_many_parts_as_there_are_come_to_one_run_from_whichever_on_a_copy_begins(trainer):
    placed = {copy: Placed({"decay": 0.1, "offset": 0.0}, copy) for copy in range(2)}
    done = []
    for anew in ([0, 1], [1], [], [0], [1], [], [0]):
        trainer.train((), placed, anew, 3, never)
        [program] = trainer.programs.values()
        done.append(program._compiled.read(lambda state: state.iteration).numpy().tolist())
    assert [first for first, _ in done] == [3, 5, 7, 3, 5, 7, 3]
    assert [second for _, second in done] == [3, 2, 4, 7, 2, 4, 7]


@pytest.mark.parametrize(("parts", "ends"), [(3, [3, 5, 7]), (9, [1, 2, 3, 4, 4, 5, 6, 7, 7])])
def test_parts_on_the_host_are_as_even_as_can_be(parts, ends, host_trainer):
    placed = {0: Placed({"decay": 0.1, "offset": 0.0}, 0)}
    done = []
    for part in range(parts):
        host_trainer.train((), placed, [] if part else [0], parts, never)
        [program] = host_trainer.programs.values()
        done.append(program._copies[0].done)
    assert done == ends


def test_generations_come_to_one_run(tmp_path):
    evolution = Evolution(SearchConfig("tunes", tmp_path, method="pbt", trials=2, evaluations=3, **GIVEN))
    done = [evolution._compiled.read(lambda state: state.members.iteration[0]).numpy() for _ in evolution.run()]
    assert done == [3, 5, 7]
    with pytest.raises(ValueError, match="evaluations is 8, expected at most 7, the training iterations of 56 steps"):
        Evolution(SearchConfig("tunes", tmp_path, method="pbt", trials=2, evaluations=8, **GIVEN))
