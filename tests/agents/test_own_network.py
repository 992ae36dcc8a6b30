"""A network of a user's own reads the observation: a pair of functions, a Keras model, or the name of one."""

import importlib
import inspect
import json
import pkgutil
import sys

import numpy as np
import pytest
import tensorflow as tf
from gymnasium import spaces

from rl_fn import agents, commands, envs, loops, networks, random, runs, sets, struct
from rl_fn.agents import dqn, ppo
from rl_fn.agents.hparams import HParams, described

SMALL = {"num_envs": 2, "rollout_length": 4}
MODULES = [importlib.import_module(f"rl_fn.agents.{module.name}") for module in pkgutil.iter_modules(agents.__path__)]
HAVE_MAKE = [module for module in MODULES if hasattr(module, "make")]
AGENTS = [module for module in HAVE_MAKE if "hparams" in inspect.signature(module.make).parameters]


@pytest.fixture
def own(monkeypatch):
    """The folder of a module that nobody has imported yet."""
    monkeypatch.syspath_prepend("tests/own")
    yield
    sys.modules.pop("my_networks", None)
    sets.modules._named.clear()


def trained(agent, env, steps=2):
    """Parameters before and after some training."""
    state = loops.init_state(agent, env, random.key(0))
    compiled = loops.compile(loops.train_step(agent, env), state)
    compiled.run(steps)
    named = lambda state: {name: np.asarray(leaf) for name, leaf in struct.named_leaves(state.agent.policy)}
    return named(state), named(compiled.read())


@pytest.mark.parametrize("module", AGENTS, ids=lambda module: module.__name__.rpartition(".")[2])
def test_every_agent_that_can_takes_one(module):
    hparams = inspect.get_annotations(module.make, eval_str=True)["hparams"]
    has_a_place = any(networks.OWN in allowed.choices for allowed in described(hparams).values())
    assert has_a_place == ("network" in inspect.signature(module.make).parameters)


def test_a_pair_of_functions_learns():
    env = envs.make("CartPole-v1")
    halves = networks.Network(
        lambda key, spec: {"scale": tf.fill([2, *spec.shape], 0.5)},
        lambda params, inputs: tf.concat([inputs * params["scale"][0], tf.tanh(inputs * params["scale"][1])], axis=-1),
    )
    agent = dqn.make(env.spec, dqn.DQNHParams(learning_starts=4, n_step=1, gradient_steps=1, **SMALL), network=halves)
    before, after = trained(agent, env)
    assert before["params/torso/scale"].shape == (2, 4)
    assert [leaf.shape for name, leaf in before.items() if name.endswith("kernel")] == [(8, 2)]  # of the head
    assert np.all(before["params/torso/scale"] != after["params/torso/scale"])


def test_a_keras_model_learns_in_policy_and_value_each():
    env = envs.make("CartPole-v1")
    model = tf.keras.Sequential([tf.keras.Input([4]), tf.keras.layers.Dense(3, "tanh", name="seen")], name="model")
    agent = ppo.make(env.spec, ppo.PPOHParams(num_minibatches=1, num_epochs=1, **SMALL), network=model)
    before, after = trained(agent, env)
    for part in ("policy", "value"):
        name = f"params/{part}/torso/model/seen/kernel"
        assert before[name].shape == (4, 3)
        assert np.any(before[name] != after[name])
    names = [f"params/{part}/torso/model/seen/kernel" for part in ("policy", "value")]
    assert np.any(before[names[0]] != before[names[1]])


def test_images_reach_it_as_numbers_with_any_batch_axes():
    space = spaces.Box(0, 255, [6, 6, 2], np.uint8)
    layers = [tf.keras.layers.Conv2D(3, 3), tf.keras.layers.Flatten()]
    model = tf.keras.Sequential([tf.keras.Input([6, 6, 2]), *layers])
    network, spec, to_inputs = networks.own(model, space)
    assert (spec.shape, spec.dtype) == ([6, 6, 2], tf.float32)
    params = network.init(random.key(0), spec)
    images = np.full([5, 7, 6, 6, 2], 255, np.uint8)
    inputs = to_inputs(images)
    np.testing.assert_array_equal(inputs, np.ones(images.shape))
    assert network.apply(params, inputs).shape == [5, 7, 48]
    np.testing.assert_allclose(network.apply(params, inputs)[0, 0], network.apply(params, inputs[0, 0]), rtol=1e-5)


@pytest.mark.slow
def test_convolutions_of_keras_learn_in_copies():
    env = envs.make("MinAtar/Breakout-v1")
    layers = [tf.keras.layers.Conv2D(3, 3, name="seen"), tf.keras.layers.Flatten()]
    model = tf.keras.Sequential([tf.keras.Input([10, 10, 4]), *layers], name="model")
    hparams = dqn.DQNHParams(learning_starts=4, n_step=1, gradient_steps=1, **SMALL)
    agent = dqn.make(env.spec, hparams, network=model)
    states = [loops.init_state(agent, env, random.key(seed)) for seed in range(2)]
    together = loops.compile(loops.vectorize(loops.train_step(agent, env)), struct.stack(states))
    together.run(2)
    for copy, state in enumerate(states):
        alone = loops.compile(loops.train_step(agent, env), state)
        alone.run(2)
        kernel = lambda state: dict(struct.named_leaves(state.agent.policy))["params/torso/model/seen/kernel"]
        expected = kernel(alone.read()).numpy()
        assert np.any(expected != kernel(state).numpy())
        np.testing.assert_allclose(kernel(together.read())[copy], expected, rtol=1e-3, atol=1e-4)


@pytest.mark.usefixtures("own")
def test_a_name_is_kept_in_config_json_and_imported_only_when_the_user_names_it(tmp_path, capsys):
    small = "num_envs=2,rollout_length=4,num_minibatches=1,num_epochs=1"
    flags = ["--hparams", "ppo_cartpole", "--hparam_override", small, "--train_steps", "16", "--eval_episodes", "1"]
    commands.main(["train", *flags, "--network", "my_networks:keras_model", "--output_dir", str(tmp_path)])
    assert sys.modules["my_networks"].CALLS[0] == tf.TensorSpec([4], tf.float32)
    config = json.loads((tmp_path / "run_0" / "config.json").read_text())
    assert (config["network"], config["hparam_override"]["torso"]) == (None, "my_networks:keras_model")
    capsys.readouterr()
    del sys.modules["my_networks"]
    with pytest.raises(SystemExit):
        commands.main(["play", str(tmp_path)])
    assert "names the module 'my_networks', which is imported only if you name it" in capsys.readouterr().err
    assert "my_networks" not in sys.modules
    commands.main(["play", str(tmp_path), "--episodes", "1", "--import", "my_networks"])
    assert "episode 0: return" in capsys.readouterr().out
    kernels = runs.load(tmp_path).policy.params.params["policy"]["torso"]
    assert [leaf.shape for leaf in tf.nest.flatten(kernels)] == [[6], [4, 6]]


@pytest.mark.usefixtures("own")
def test_a_name_may_stand_for_a_pair():
    env = envs.make("CartPole-v1")
    agent = dqn.make(env.spec, dqn.DQNHParams(torso="my_networks:pair", **SMALL))
    head = agent.init(random.key(0)).policy.params["head"]
    assert [leaf.shape for leaf in tf.nest.flatten(head)] == [[2], [5, 2]]


@pytest.mark.usefixtures("own")
@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("my_networks:nothing", "module 'my_networks' has no 'nothing'"),
        ("my_networks:number", "my_networks:number is a int, expected a networks.Network or a Keras model"),
        (networks.Network(lambda key, spec: {}, lambda params, x: x[:, 0]), r"expected float32 \[N, features\]"),
        ("cnn", "torso is 'cnn', expected one of mlp, minatar, nature, MODULE:NAME"),
        (7, "torso is 7, expected one of mlp, minatar, nature, MODULE:NAME"),
    ],
)
def test_what_is_no_network_is_refused(given, message):
    spec = envs.make("CartPole-v1").spec
    with pytest.raises(ValueError, match=message):
        dqn.make(spec, dqn.DQNHParams(torso=given))


def test_a_keras_model_for_other_inputs_is_refused():
    model = tf.keras.Sequential([tf.keras.Input([7]), tf.keras.layers.Dense(3)])
    with pytest.raises(ValueError, match=r"the network does not take inputs float32 \(4,\)"):
        dqn.make(envs.make("CartPole-v1").spec, dqn.DQNHParams(), network=model)


def test_hyperparameters_without_a_place_for_it_say_so():
    with pytest.raises(ValueError, match="HParams has no place for a network of one's own"):
        HParams().with_network(networks.mlp([3]))
