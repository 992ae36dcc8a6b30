"""What a run has learned in forms of others; those are read in processes of their own in tests/extras."""

import json

import numpy as np
import pytest
import tensorflow as tf

from rl_fn import commands, envs, loops, random, runs, struct
from rl_fn.runs import export
from rl_fn.runs.stablehlo import portable
from tests.envs.host.environments import Count
from tests.learned import learned


@pytest.fixture(scope="module")
def recurrent(tmp_path_factory):
    """A policy with a memory, exported."""
    folder = tmp_path_factory.mktemp("exported")
    loaded = learned("ppo", "CartPoleNoVel-v1", memory="lstm", memory_units=8)
    export(loaded, folder, forms=("saved_model",))
    return loaded, folder, dict(np.load(folder / "example.npz")), json.loads((folder / "export.json").read_text())


def test_the_saved_model_takes_batches_of_any_size_and_what_is_remembered(recurrent):
    _, folder, example, described = recurrent
    serve = tf.saved_model.load(str(folder / "saved_model")).signatures["serving_default"]
    inputs = {one["name"]: example[one["name"]] for one in described["inputs"]}
    assert {name: leaf.shape for name, leaf in inputs.items()} == {
        "actor_state_0": (1_000, 8),
        "actor_state_1": (1_000, 8),
        "observation": (1_000, 4),
    }
    for size in (1, 7, 1_000):
        outputs = serve(**{name: tf.constant(leaf[:size]) for name, leaf in inputs.items()})
        np.testing.assert_array_equal(outputs["action"], example["expected_action"][:size])
        for name in ("actor_state_0", "actor_state_1"):
            np.testing.assert_allclose(outputs[name], example[f"expected_{name}"][:size], atol=1e-5)


def test_the_example_is_what_the_agent_itself_does(recurrent):
    loaded, _, example, _ = recurrent
    observations, actions = (example[name].reshape(100, 10, -1) for name in ("observation", "expected_action"))
    # Episodes of CartPole last eight steps and more.
    loaded.policy.reset()
    acted = [loaded.policy.act(batch) for batch in observations[:8]]
    np.testing.assert_array_equal(acted, actions[:8, :, 0])
    begins = np.all(example["actor_state_0"] == 0, axis=1).reshape(100, 10)
    assert begins[0].all()
    assert 10 < begins.sum() < 200
    np.testing.assert_array_equal(example["initial_actor_state_1"], np.zeros([1, 8]))


@pytest.mark.parametrize(("agent", "values"), [("ddpg", {}), ("sac", {"noise_damping": 0.1}), ("sac", {})])
def test_noise_of_exploration_is_no_input(agent, values, tmp_path):
    loaded = learned(agent, "Pendulum-v1", **values)
    export(loaded, tmp_path, forms=("saved_model",))
    example = dict(np.load(tmp_path / "example.npz"))
    assert set(example) == {"observation", "expected_action"}
    described = json.loads((tmp_path / "export.json").read_text())
    assert ([one["name"] for one in described["inputs"]], described["outputs"]) == (["observation"], ["action"])
    serve = tf.saved_model.load(str(tmp_path / "saved_model")).signatures["serving_default"]
    acted = serve(observation=tf.constant(example["observation"][:7]))
    assert set(acted) == {"action"}
    np.testing.assert_allclose(acted["action"], loaded.policy.act(example["observation"][:7]), atol=1e-5)


@pytest.mark.parametrize("agent", ["fqf", "iqn"])
def test_fractions_are_of_batches_of_any_size(agent, tmp_path):
    loaded = learned(agent, "Catch-bsuite", num_envs=2, hidden_sizes=(8,), replay_capacity=64, learning_starts=32)
    export(loaded, tmp_path, forms=("saved_model",))
    example = dict(np.load(tmp_path / "example.npz"))
    serve = tf.saved_model.load(str(tmp_path / "saved_model")).signatures["serving_default"]
    acted = serve(observation=tf.constant(example["observation"][:7]))
    np.testing.assert_array_equal(acted["action"], example["expected_action"][:7])


def test_searches_are_of_batches_of_any_size(tmp_path):
    loaded = learned("alphazero", "TicTacToe-v0", num_simulations=4)
    export(loaded, tmp_path, forms=("saved_model",))
    example = dict(np.load(tmp_path / "example.npz"))
    serve = tf.saved_model.load(str(tmp_path / "saved_model")).signatures["serving_default"]
    for size in (1, 7):
        acted = serve(observation=tf.constant(example["observation"][:size]))
        np.testing.assert_array_equal(acted["action"], loaded.policy.act(example["observation"][:size]))


def test_the_training_step_of_a_data_set_takes_no_trajectory(tmp_path):
    loaded = learned("bc", "Catch-bsuite", hidden_sizes=(8,))
    export(loaded, tmp_path, forms=("stablehlo",))
    step = json.loads((tmp_path / "export.json").read_text())["train_step"]
    assert not [one["name"] for one in step["arguments"] if one["name"].startswith(("actors/", "trajectory/"))]
    assert set(np.load(tmp_path / "example.npz")) == {"observation", "expected_action"}


@pytest.fixture(scope="module")
def noisy(tmp_path_factory):
    """An agent whose step has captured a tensor, exported."""
    folder = tmp_path_factory.mktemp("exported")
    loaded = learned("rainbow", "Catch-bsuite", num_envs=2, replay_capacity=64, learning_starts=32, num_atoms=3)
    shift, update = tf.constant([-10.0, 0.0, 10.0]), loaded.agent.update

    def shifted(state, trajectory, key):
        rewards = trajectory.reward + tf.reduce_sum(shift)
        return update(state, trajectory._replace(reward=rewards), key)

    loaded = loaded._replace(agent=loaded.agent._replace(update=shifted))
    export(loaded, folder, forms=("stablehlo",))
    return loaded, folder, json.loads((folder / "export.json").read_text())["train_step"]


def test_the_arguments_of_the_training_step_are_the_arrays_of_a_checkpoint(noisy):
    loaded, folder, step = noisy
    state = loops.init_state(loaded.agent, loaded.env, random.key(0))
    expected = [(name, list(leaf.shape), leaf.dtype.name) for name, leaf in struct.named_leaves(state)]
    of = lambda leaves: [(one["name"], one["shape"], one["dtype"]) for one in leaves]
    assert of(step["arguments"])[: len(expected)] == expected
    assert of(step["results"])[: len(expected)] == expected
    (shift,) = step["arguments"][len(expected) :]
    assert (shift["name"], shift["value"]) == ("captured/0", [-10.0, 0.0, 10.0])
    text = (folder / "train_step.mlir").read_text()
    header = text[text.index("@main(") : text.index("->", text.index("@main("))]
    assert header.count("%arg") == len(step["arguments"])
    assert "loc(" not in text


def test_booleans_are_spelled_out_because_compilers_pack_them_differently():
    constant = f'dense<"0x{"00" * 15}80"> : tensor<128x1xi1>'
    lines = ["func.func @main() -> tensor<128x1xi1> {", f"%c = stablehlo.constant {constant}"]
    text = "\n".join([*lines, "return %c : tensor<128x1xi1>", "}"])
    assert f"dense<[{'[false], ' * 127}[true]]> : tensor<128x1xi1>" in portable(text)


def test_the_training_step_of_host_environments_takes_a_trajectory(tmp_path):
    env = envs.gymnasium_env([Count(3)])
    loaded = learned("dqn", env, num_envs=1, rollout_length=4)
    export(loaded, tmp_path, forms=("stablehlo",))
    step = json.loads((tmp_path / "export.json").read_text())["train_step"]
    trajectory = {one["name"]: one["shape"] for one in step["arguments"] if one["name"].startswith("trajectory/")}
    assert trajectory["trajectory/reward"] == [4, 1]
    assert set(np.load(tmp_path / "example.npz")) == {"observation", "expected_action"}


def test_mistakes_get_one_sentence(noisy, tmp_path, capsys):
    loaded = noisy[0]
    with pytest.raises(ValueError, match="forms is 'onnx', expected one of saved_model, tflite, stablehlo"):
        export(loaded, tmp_path, forms=("onnx",))
    with pytest.raises(ValueError, match="platform is 'cpu', expected one of CPU, GPU, TPU"):
        export(loaded, tmp_path, platform="cpu")
    with pytest.raises(ValueError, match="the training step cannot be lowered for TPU, leave out stablehlo"):
        export(loaded, tmp_path, forms=("stablehlo",), platform="TPU")
    with pytest.raises(SystemExit) as end:
        commands.main(["export", str(tmp_path)])
    assert end.value.code == 2
    assert "holds no run" in capsys.readouterr().err


def test_the_command_writes_what_it_is_asked_for(trained, tmp_path, capsys):
    forms = ["--forms", "saved_model,tflite"]
    commands.main(["export", str(trained), "--output", str(tmp_path), "--checkpoint", "best", *forms])
    said = capsys.readouterr().out
    for name in ("saved_model", "policy.tflite", "example.npz", "export.json"):
        assert str(tmp_path / name) in said
    env_steps = json.loads((tmp_path / "export.json").read_text())["env_steps"]
    assert env_steps == runs.load(trained, checkpoint="best").env_steps
