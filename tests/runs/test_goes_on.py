"""A run is made longer, begins with what another has learned, and keeps its best policy."""

import itertools
import json
import shutil
import time

import numpy as np
import pytest

from rl_fn import envs, random, sets, struct
from rl_fn.agents import dqn, ppo
from rl_fn.runs import Run, checkpoint, loading
from rl_fn.runs.pauses import Pauses
from tests.runs import tiny


@pytest.fixture(scope="module")
def env():
    return envs.make("Catch-bsuite")


def make(env, folder, train_steps=640, agent=None, **settings):
    settings = {"eval_episodes": 2, "eval_interval": 32, "checkpoint_seconds": 3600.0, **settings}
    return Run(agent or tiny.agent(), env, folder, train_steps=train_steps, **settings)


@pytest.fixture(scope="module")
def whole(env, tmp_path_factory):
    run = make(env, tmp_path_factory.mktemp("whole"))
    list(run)
    return run


def test_a_finished_run_that_is_made_longer_twice_equals_a_long_one(env, whole, tmp_path):
    for train_steps, note in ((160, ""), (320, "from 160 to 320 steps"), (640, "from 320 to 640 steps")):
        run = make(env, tmp_path, train_steps)
        reports = list(run)
        assert reports[-1].env_steps == train_steps
        assert note in " ".join(run.notes)
        assert json.loads((run.folder() / "config.json").read_text())["train_steps"] == train_steps
    assert run.summary["state_digest"] == whole.summary["state_digest"]
    assert run.summary["eval_return_mean"] == whole.summary["eval_return_mean"]


def test_one_that_is_not_finished_can_be_made_longer_too_but_not_shorter(env, whole, tmp_path):
    for report in make(env, tmp_path, 320):
        if report.env_steps >= 80:
            break
    run = make(env, tmp_path, 640)
    list(run)
    assert run.summary["state_digest"] == whole.summary["state_digest"]
    with pytest.raises(ValueError, match="holds another run: train_steps was 640, and can be made more, not 320"):
        make(env, tmp_path, 320)


def test_how_it_is_watched_does_not_make_it_another_run(env, whole, tmp_path):
    shutil.copytree(whole.config.output_dir, tmp_path / "same")
    (tmp_path / "same" / "run_0" / "summary.json").unlink()
    settings = {"eval_episodes": 5, "eval_interval": 80, "checkpoint_seconds": 0.0, "video_interval": 9}
    run = make(env, tmp_path / "same", **settings)
    list(run)
    assert run.summary["eval_episodes"] == 5
    assert json.loads((run.folder() / "config.json").read_text())["eval_interval"] == 80


def test_the_policy_that_was_evaluated_best_is_kept(env, tmp_path):
    run = make(env, tmp_path)
    evaluate = run._runner.evaluate
    returns = itertools.chain([0.0, 3.0, 1.0, 3.0], itertools.repeat(2.0))

    def evaluated(policy, keys, stop):
        evaluation = evaluate(policy, keys, stop)
        return evaluation._replace(returns=np.full([2], next(returns)))

    run._runner.evaluate = evaluated
    list(run)
    best = run.folder() / "checkpoints" / "best"
    assert checkpoint.list_iterations(best) == [16]  # the newest of the two with 3.0, after its four updates each
    saved = checkpoint.load(checkpoint.path_of(best, 16))
    assert saved.leaves["policy"] == 16
    assert saved.metadata["eval_return_mean"] == 3.0
    assert checkpoint.list_iterations(run.folder() / "checkpoints")[-1] == 80


def test_a_run_that_goes_on_knows_its_best(env, tmp_path):
    for report in make(env, tmp_path):
        if report.env_steps >= 80:
            break
    run = make(env, tmp_path)
    run.start()
    (best,) = run._best
    assert best == json.loads(json.dumps(best))
    assert -1.0 <= best <= 1.0


def small(**values):
    values = {"num_envs": 4, "rollout_length": 4, "learning_starts": 16, "hidden_sizes": (8,), **values}
    return dqn.DQNHParams(train_steps=320, replay_capacity=64, batch_size=8, **values)


@pytest.fixture(scope="module")
def learned(env, tmp_path_factory):
    folder = tmp_path_factory.mktemp("learned")
    hparams = small()
    run = make(env, folder, 320, dqn.make(env.spec, hparams), hparams=hparams, eval_episodes=0)
    list(run)
    return run


def test_another_run_begins_with_what_one_has_learned(env, learned, tmp_path):
    hparams = small(learning_rate=1e-5, num_envs=2)  # of another shape where nothing was learned
    agent = dqn.make(env.spec, hparams)
    run = make(env, tmp_path, 320, agent, hparams=hparams, eval_episodes=0, init_from=learned.config.output_dir)
    run.start()
    mine, theirs = [one.leaves(lambda name: "params" in name) for one in (run, learned)]
    assert len(mine) == 8  # of the network and its target
    for name in mine:
        np.testing.assert_array_equal(mine[name], theirs[name])
    counts = run.leaves(lambda name: name.endswith(("count", "gradient_steps", "num_updates")))
    assert counts
    assert not any(counts.values())
    assert run.iteration == 0
    assert "begins with what" in run.notes[-1]
    list(run)
    config = json.loads((run.folder() / "config.json").read_text())
    assert config["init_from"] == str(learned.config.output_dir)
    with pytest.raises(ValueError, match="holds another run: init_from was"):
        make(env, tmp_path, 320, agent, hparams=hparams, eval_episodes=0)


def test_what_normalises_is_begun_with_too(env, tmp_path):
    hparams = ppo.PPOHParams(
        train_steps=64, num_envs=2, rollout_length=8, num_minibatches=2, hidden_sizes=(8,), normalize_observations=True
    ).override(normalize_rewards=True)
    of = lambda run: run.leaves(lambda name: "observations/" in name or "moments/" in name)
    first = make(env, tmp_path / "first", 64, ppo.make(env.spec, hparams), hparams=hparams, eval_episodes=0)
    list(first)
    more = {"hparams": hparams, "eval_episodes": 0, "init_from": tmp_path / "first"}
    second = make(env, tmp_path / "second", 64, ppo.make(env.spec, hparams), **more)
    assert of(second)["agent/observations/count"] == 64
    for name, leaf in of(first).items():
        np.testing.assert_array_equal(of(second)[name], leaf)


@pytest.mark.parametrize(
    ("name", "env_name", "values", "learned"),
    [
        ("vmpo", "Pendulum-v1", {}, {"learner/dual_params/temperature", "learner/dual_params/multipliers/1"}),
        ("rnd", "CartPole-v1", {"novelty_sizes": (8,)}, {"target_params/layer_0/kernel", "bonuses/moments/mean"}),
        ("world_models", "CatchPixels-bsuite", {}, {"search/mean", "trial/candidates"}),
        ("dreamer", "CartPole-v1", {"size": "0.1m"}, {"learner/slow_critic_params/layer_0/kernel"}),
    ],
)
def test_all_that_was_learned_is_begun_with_and_no_counter(name, env_name, values, learned):
    agent = sets.agent_module(name).make(envs.make(env_name).spec, sets.hparams_struct(name)(**values))
    state = agent.init(random.key(0))
    is_learned, leaves = loading.learned_leaves(state), dict(struct.named_leaves(state))
    assert learned <= {leaf for leaf in leaves if is_learned(leaf)}
    others = {leaf for leaf in leaves if not is_learned(leaf)}
    assert {
        leaf for leaf in leaves if "opt_state" in leaf or leaf.endswith(("num_updates", "gradient_steps"))
    } <= others


def test_what_does_not_fit_is_not_begun_with(env, learned, tmp_path):
    hparams = small(hidden_sizes=(9,))
    run = make(env, tmp_path, 320, dqn.make(env.spec, hparams), init_from=learned.config.output_dir)
    with pytest.raises(ValueError, match=r"init_from .* does not fit: the checkpoint's .* is float32 .*, expected"):
        run.start()
    with pytest.raises(ValueError, match=r"init_from .*nowhere holds no run"):
        make(env, tmp_path / "other", init_from=tmp_path / "nowhere").start()


def test_pauses_become_rarer_where_they_take_more_than_a_twentieth():
    notes = []
    pauses = Pauses("films", "video_interval", False, notes)
    assert pauses.allows(0.0)
    with pauses.timed():  # the first compiles
        time.sleep(0.05)
    assert pauses.allows(0.0)
    with pauses.timed():
        time.sleep(0.05)
    assert not pauses.allows(0.5)
    assert not pauses.allows(0.5)
    assert notes == ["films take over 5% of the time and become rarer; --video_interval says how often they are"]
    assert pauses.allows(9.0)
    fixed = Pauses("films", "video_interval", True, notes)
    for _ in range(2):
        with fixed.timed():
            time.sleep(0.01)
    assert fixed.allows(0.0)


def test_it_can_be_told_how_often_to_evaluate(env, tmp_path):
    run = make(env, tmp_path, eval_interval=100)  # every 13 iterations of 8 steps, and at the end
    assert [report.env_steps for report in run if report.evaluation] == [104, 208, 312, 416, 520, 624, 640]


def test_unless_told_it_evaluates_twenty_times_at_most(env, tmp_path):
    evaluated = [report.env_steps for report in make(env, tmp_path, eval_interval=None) if report.evaluation]
    assert evaluated[0] == 32  # a twentieth
    assert evaluated[-1] == 640
    assert set(evaluated) <= set(range(32, 641, 32))
