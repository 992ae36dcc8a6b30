"""What watches a run, fed with reports."""

from types import SimpleNamespace

import numpy as np
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData
from tensorboard.util.tensor_util import make_ndarray

from rl_fn.loops import EpisodeMeans, Evaluation
from rl_fn.runs import Report, RunConfig
from rl_fn.runs.reporters import Progress, TensorBoard

EVALUATION = Evaluation(
    np.array([[1.0, 3.0], [5.0, 5.0]]), np.array([[9, 9], [9, 9]]), np.array([[True, True], [False, True]])
)

LEAVES = {
    "agent/policy/params/kernel": np.array([[1.0, 2.0], [5.0, 6.0]]),
    "agent/opt_state/1/mean/kernel": np.array([[0.1, 0.2], [0.3, 0.4]]),
    "agent/opt_state/1/square/kernel": np.array([[0.1, 0.2], [0.3, 0.4]]),
    "agent/replay/params": np.zeros([2, 9]),
}


def report(env_steps, agent_metrics, count, evaluation=None, compiled=False):
    count = np.asarray(count)
    returns = np.where(count > 0, 2.5, np.nan)
    return Report(
        1, env_steps, agent_metrics, EpisodeMeans(count, returns, returns), evaluation, True, 80.0, compiled, 4.0
    )


def run(folder, **settings):
    config = RunConfig(hparams=None, output_dir=folder, env="CartPole-v1", hparam_override={"gamma": 0.9}, **settings)
    return SimpleNamespace(
        config=config,
        iteration=0,
        env_steps=0,
        reported_steps=0,
        total_steps=100,
        folder=lambda copy=0: folder / f"run_{copy}",
        leaves=lambda wanted: {name: leaf for name, leaf in LEAVES.items() if wanted(name)},
        graph=None,
    )


@pytest.fixture(scope="module")
def events(tmp_path_factory):
    """The events of two copies after two reports."""
    folder = tmp_path_factory.mktemp("events")
    board = TensorBoard()
    board.start(run(folder, copies=2))
    loss = np.array([0.5, np.nan])
    board.report(report(10, {"loss": loss, "episode_return": np.array([7.0, 8.0])}, [0, 4], compiled=True))
    board.report(report(20, {}, [1, 2], EVALUATION))
    board.close()
    return [EventAccumulator(str(folder / f"run_{copy}"), size_guidance={"tensors": 0}).Reload() for copy in range(2)]


def points(events, tag):
    return [(event.step, float(make_ndarray(event.tensor_proto))) for event in events.Tensors(tag)]


def test_each_copy_has_its_curves(events):
    assert points(events[0], "train/loss") == [(10, 0.5)]
    assert points(events[1], "rollout/episodes") == [(10, 4.0), (20, 2.0)]
    assert [points(copy, "eval/return_mean") for copy in events] == [[(20, 2.0)], [(20, 5.0)]]
    assert points(events[0], "eval/return_std") == [(20, 1.0)]
    assert points(events[0], "eval/length_mean") == [(20, 9.0)]


def test_what_is_nan_is_seen_and_what_was_not_measured_is_not(events):
    ((step, loss),) = points(events[1], "train/loss")
    assert step == 10
    assert np.isnan(loss)
    assert points(events[0], "rollout/ep_return_mean") == [(20, 2.5)]  # no episode ended before
    assert points(events[1], "rollout/ep_return_mean") == [(10, 2.5), (20, 2.5)]


def test_an_agents_metric_may_have_any_name(events):
    assert points(events[0], "train/episode_return") == [(10, 7.0)]
    merged = report(10, {"episode_return": np.array(7.0)}, 3).metrics
    assert (merged["episode_return"], merged["episode_length"], merged["episode_count"]) == (7.0, 2.5, 3)


def test_a_speed_with_compilation_is_no_speed(events):
    assert points(events[0], "time/steps_per_second") == [(20, 80.0)]


def test_the_settings_are_there_as_text(events):
    text = make_ndarray(events[1].Tensors("config")[0].tensor_proto).item().decode()
    assert "| gamma | 0.9 |" in text
    assert "| seed | 1 |" in text


def test_parameters_and_gradients_have_histograms(events):
    kernel = make_ndarray(events[1].Tensors("parameters/agent/policy/params/kernel")[0].tensor_proto)
    assert (kernel[0, 0], kernel[-1, 1], kernel[:, 2].sum()) == (5.0, 6.0, 2)
    tags = [tag for tag in events[0].Tags()["tensors"] if tag.startswith(("parameters/", "gradients/"))]
    assert tags == ["parameters/agent/policy/params/kernel", "gradients/agent/opt_state/1/mean/kernel"]


def test_actions_of_the_evaluation_have_a_histogram_of_each_axis(tmp_path):
    board = TensorBoard()
    board.start(run(tmp_path))
    discrete = np.array([[0, 1, 1], [1, 1, 1]])  # two steps of three environments
    board.report(report(10, {}, 0, EVALUATION)._replace(actions=discrete))
    board.report(report(20, {}, 0, EVALUATION)._replace(actions=np.stack([discrete, -2.0 * discrete], axis=-1)))
    board.close()
    events = EventAccumulator(str(tmp_path / "run_0"), size_guidance={"tensors": 0}).Reload()
    histograms = {
        tag: make_ndarray(events.Tensors(tag)[0].tensor_proto) for tag in ("actions", "actions/0", "actions/1")
    }
    assert histograms["actions"][[0, -1], 2].tolist() == [1, 5]
    assert histograms["actions/0"][[0, -1], 2].tolist() == [1, 5]
    assert histograms["actions/1"][[0, -1], 2].tolist() == [5, 1]
    assert histograms["actions/1"][0, 0] == -2


def test_the_settings_are_on_the_page_of_hyper_parameters(events):
    (content,) = [
        value
        for name, value in events[1].SummaryMetadata("_hparams_/session_start_info").plugin_data.ListFields()
        if name.name == "content"
    ]
    start = HParamsPluginData.FromString(content).session_start_info.hparams
    assert (start["gamma"].number_value, start["seed"].number_value) == (0.9, 1)
    assert start["env"].string_value == "CartPole-v1"


def test_progress_is_a_line_at_the_start_and_at_each_evaluation(tmp_path, capsys):
    progress = Progress()
    progress.start(run(tmp_path))
    progress.report(report(10, {}, 0, compiled=True)._replace(is_pause=False))
    progress.report(report(20, {}, 0)._replace(is_pause=False))
    progress.report(report(30, {}, 2, EVALUATION))
    progress.report(report(40, {}, 2))
    progress.close()
    assert capsys.readouterr().err.splitlines() == [
        "          0 / 100 steps  compiling",
        "         10 / 100 steps  compiled in 4.0 s  return -  eval -",
        "         30 / 100 steps  80 steps/s  return 2.5  eval 3.5 (1 cut off)",
        "         40 / 100 steps  80 steps/s  return 2.5  eval 3.5",
    ]


def test_progress_of_copies_says_how_many(tmp_path, capsys):
    progress = Progress()
    progress.start(run(tmp_path, copies=2))
    progress.report(report(30, {}, [1, 2], EVALUATION))
    progress.close()
    assert capsys.readouterr().err.splitlines()[-1].endswith("80 steps/s x 2 copies  return 2.5  eval 3.5 (1 cut off)")
