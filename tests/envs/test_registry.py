"""The open table of names: what users register is made, listed, looked for and judged as our own."""

import functools
import io
import subprocess
import sys
from pathlib import Path

import gymnasium
import numpy as np
import pytest
import tensorflow as tf
from gymnasium import spaces
from rich.console import Console

from rl_fn import envs, random
from rl_fn._src import naming
from rl_fn.commands import listing
from rl_fn.envs import registry
from tests.envs import rooms
from tests.envs.corridor import make_corridor

ROOT = Path(__file__).parents[2]
CORRIDOR, ROOM = "tests.envs.corridor:make_corridor", "tests.envs.rooms:Room"


@pytest.fixture(autouse=True)
def own_table():
    """Names of a test are forgotten after it."""
    known = dict(registry.ENTRIES)
    yield
    registry._entries.clear()
    registry._entries.update(known)


@pytest.mark.parametrize("make", [make_corridor, CORRIDOR])
def test_a_compiled_environment_of_ones_own(make):
    envs.register("Mine/Corridor-v0", make, kwargs={"length": 6})
    for name in ("Mine/Corridor-v0", "compiled:Mine/Corridor-v0"):
        env = envs.make(name)
        assert isinstance(env, envs.Env)
        assert env.spec.name == "Mine/Corridor-v0"
        assert env.spec.action_space == spaces.Discrete(2)
        state, _ = env.reset(random.key(0), 2)
        outcome = env.step(state, tf.constant([0, 1]), random.key(0))[1]
        np.testing.assert_array_equal(outcome.observation, [[1], [2]])
    state, _ = envs.make(name, length=2).reset(random.key(0), 2)
    outcome = envs.make(name, length=2).step(state, tf.constant([0, 1]), random.key(0))[1]
    np.testing.assert_array_equal(outcome.terminated, [False, True])
    with pytest.raises(ValueError, match=r"Mine/Corridor-v0 is a compiled environment and takes other.*'size'"):
        envs.make(name, size=3)


@pytest.mark.parametrize(
    ("make", "backend"),
    [(rooms.Room, "sync"), (ROOM, "thread"), (lambda **kwargs: rooms.Room(**kwargs), "sync"), (ROOM, "process")],
)
def test_a_host_environment_of_ones_own(make, backend):
    envs.register("Room-v0", make, kind="host", kwargs={"size": 5})
    env = envs.make("Room-v0", 2, backend=backend)
    assert (env.spec.name, env.num_envs) == ("Room-v0", 2)
    assert env.reset(0).shape == (2, 5)
    env.close()
    assert envs.make("Room-v0", size=4).spec.observation_space.shape == (4,)
    with pytest.raises(ValueError, match=r"Room-v0 cannot be made: TypeError: .*unexpected keyword argument 'colour'"):
        envs.make("Room-v0", colour=3)


def test_a_batch_of_environments_of_ones_own():
    envs.register("Rooms-v0", rooms.make_rooms, kind="vector")
    env = envs.make("Rooms-v0", 3, size=2)
    assert (env.spec.name, env.num_envs) == ("Rooms-v0", 3)
    assert env.reset(0).shape == (3, 2)
    with pytest.raises(ValueError, match=r"Rooms-v0 takes other arguments: .*'backend'"):
        envs.make("Rooms-v0", 3, backend="thread")
    envs.register("Hosts-v0", lambda num_envs: envs.gymnasium_env(rooms.Room, num_envs), kind="vector")
    assert envs.make("Hosts-v0", 2).spec.name == "Hosts-v0"
    envs.register("One-v0", lambda num_envs: rooms.make_rooms(1), kind="vector")
    with pytest.raises(ValueError, match=r"One-v0: a SyncVectorEnv of num_envs 1 was made, expected .* of 2"):
        envs.make("One-v0", 2)


def test_a_name_of_gymnasium_is_taken_over_and_its_own_stays():
    envs.register("LunarLander-v3", make_corridor)
    assert isinstance(envs.make("LunarLander-v3"), envs.Env)
    envs.register("FrozenLake-v1", make_corridor)
    assert envs.make("gymnasium:FrozenLake-v1").spec.observation_space == spaces.Discrete(16)


def test_names_are_known_wherever_names_are():
    envs.register("Corridor-v7", CORRIDOR)
    envs.register("Room-v7", ROOM, kind="host", evaluation={"size": 9}, family="houses")
    assert envs.names()[-2:] == ["Corridor-v7", "Room-v7"]
    assert envs.names("compiled")[-1] == "Corridor-v7"
    assert envs.names("host") == ["LunarLanderNoVel-v3", "Room-v7"]
    with pytest.raises(ValueError, match="unknown environment 'Coridor-v7'; the nearest is 'Corridor-v7'"):
        envs.make("Coridor-v7")
    with pytest.raises(ValueError, match="the nearest is 'Room-v7'"):
        envs.make("Rom-v7")
    assert registry.for_evaluation("Room-v7") == {"size": 9}
    assert registry.for_evaluation("Corridor-v7") == {}
    console = Console(width=200, record=True, file=io.StringIO())
    for kind in ("compiled", "registered"):
        listing.show(kind, "-v7", with_spaces=True, console=console)
    shown = console.export_text()
    for text in ("Corridor-v7", "float32[1]", "2 choices", "Room-v7", "float32[3]"):
        assert text in shown
    listing.show("registered", console=console)
    assert "houses" in console.export_text()


def test_our_own_are_entries_like_any_other():
    assert {*envs.names("compiled"), "LunarLanderNoVel-v3"} == set(envs.names())
    assert registry.ENTRIES["CartPole-v1"].make == "rl_fn.envs.compiled.cartpole:make"
    check = "import sys; from rl_fn import envs; envs.names(); assert not {'tensorflow', 'gym'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", check], cwd=ROOT, check=True)


def test_a_name_means_one_thing():
    envs.register("Corridor-v0", make_corridor)
    envs.register("Corridor-v0", make_corridor)
    anew = {"__name__": "tests.envs.corridor"}
    exec("def make_corridor(length=4): ...", anew)  # as where a module is loaded again
    envs.register("Corridor-v0", anew["make_corridor"])
    assert registry.ENTRIES["Corridor-v0"].make is anew["make_corridor"]
    for other in ({"make": rooms.Room}, {"make": make_corridor, "kwargs": {"length": 3}}, {"make": lambda: None}):
        with pytest.raises(ValueError, match="'Corridor-v0' is registered already, for <function make_corridor"):
            envs.register("Corridor-v0", **other)
    with pytest.raises(ValueError, match=r"'CartPole-v1' is registered already, for rl_fn.envs.compiled.cartpole:make"):
        envs.register("CartPole-v1", make_corridor)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"name": ""}, "name is '', expected letters, digits and"),
        ({"name": "my:Room-v0"}, "name is 'my:Room-v0', expected letters"),
        ({"name": "My Room"}, "name is 'My Room', expected letters"),
        ({"name": "/Room"}, "name is '/Room', expected letters"),
        ({"name": 3}, "name is 3, expected letters"),
        ({"make": "tests.envs.rooms"}, "make is 'tests.envs.rooms', expected a function, or a text such as"),
        ({"make": "tests/envs:make"}, "make is 'tests/envs:make', expected a function"),
        ({"make": 3}, "make is 3, expected a function, or a text such as"),
        ({"kind": "gym"}, "kind is 'gym', expected one of compiled, host, vector"),
        (
            {"evaluation": {"size": 3}},
            "evaluation is {'size': 3}, expected none",
        ),
    ],
)
def test_what_cannot_be_registered_is_refused(arguments, message):
    with pytest.raises((ValueError, TypeError), match=message):
        envs.register(**{"name": "Corridor-v0", "make": make_corridor, **arguments})
    assert "Corridor-v0" not in envs.names()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            rooms.Room,
            "a compiled environment, and a Room was made, .* with kind='host' or 'vector'",
        ),
        ("tests.envs.rooms:nothing", "module 'tests.envs.rooms' has no 'nothing'"),
        ("tests.envs.nowhere:make", r"module 'tests.envs.nowhere' cannot be imported \(No module named"),
    ],
)
def test_what_does_not_make_one_is_refused_when_it_is_made(make, message):
    envs.register("Wrong-v0", make)
    with pytest.raises(ValueError, match=message):
        envs.make("Wrong-v0")


def test_arguments_may_be_bound_before():
    envs.register("Corridor-v0", functools.partial(make_corridor, length=9))
    assert registry.ENTRIES["Corridor-v0"].family == "tests"
    assert isinstance(envs.make("Corridor-v0"), envs.Env)


MODULE = """
import gymnasium
from rl_fn import envs

gymnasium.register("Folder-v0", entry_point="tests.envs.rooms:Room", max_episode_steps=7)
envs.register("Found-v0", "tests.envs.corridor:make_corridor")
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The current folder, in which Python does not look for modules by itself, as with an installed command."""
    (tmp_path / "my_rooms.py").write_text(MODULE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [str(ROOT), *[entry for entry in sys.path if entry not in ("", str(tmp_path))]])
    yield
    sys.modules.pop("my_rooms", None)
    gymnasium.registry.pop("Folder-v0", None)


def test_modules_in_the_current_folder_are_found(folder):
    env = envs.make("gymnasium:my_rooms:Folder-v0", 2, backend="process")
    assert env.spec.name == "gymnasium:my_rooms:Folder-v0"
    assert env.spec.max_episode_steps == 7
    env.close()
    sys.modules.pop("my_rooms")
    env = envs.make("my_rooms:Found-v0")
    assert env.spec.name == "my_rooms:Found-v0"  # by which it can be made again
    assert envs.make("my_rooms:Folder-v0").spec.max_episode_steps == 7
    assert naming.import_module("my_rooms").__name__ == "my_rooms"
    with pytest.raises(ValueError, match=r"module 'my_halls' cannot be imported \(No module named 'my_halls'\)"):
        naming.import_module("my_halls")
    with pytest.raises(ValueError, match="unknown environment 'my_halls:Hall-v0': module 'my_halls' cannot"):
        envs.make("gymnasium:my_halls:Hall-v0")
    with pytest.raises(ValueError, match="the nearest is 'Folder-v0'"):
        envs.make("my_rooms:Folde-v0")


def test_how_one_of_ones_own_is_named_is_said():
    with pytest.raises(
        ValueError, match=r"unknown environment 'Shop-v0'; .* one of your own needs its module: my_module:Shop"
    ):
        envs.make("Shop-v0")
    with pytest.raises(ValueError, match=r"a module is named without \.py, as in 'shop:Shop-v0'"):
        envs.make("shop.py:Shop-v0")


def test_without_pictures_everything_else_works():
    gymnasium.register("Blind-v0", entry_point=rooms.Room)
    envs.register("Blind-v1", rooms.Room, kind="host")
    for name in ("gymnasium:Blind-v0", "Blind-v1"):
        env = envs.make(name, render_mode="rgb_array")
        assert env.reset(0).shape == (1, 3)
        with pytest.raises(ValueError, match=f"{name} gives no picture: .* is None, expected 'rgb_array': make"):
            env.render()
    envs.register("Window-v0", rooms.Window, kind="host")
    env = envs.make("Window-v0", render_mode="rgb_array")
    env.reset(0)
    np.testing.assert_array_equal(env.render(), np.full((4, 4, 3), 3))
    gymnasium.registry.pop("Blind-v0")


def test_wrappers_are_there_with_the_package():
    code = "import rl_fn as rl; print(rl.envs.wrappers.clip_reward.__name__)"
    answer = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert answer.stdout == "clip_reward\n"


def test_a_name_is_a_text_and_a_number_of_environments_is_positive():
    with pytest.raises(TypeError, match=r"name is .*CartPoleEnv.*, expected a text such as 'CartPole-v1'"):
        envs.make(gymnasium.make("CartPole-v1").unwrapped)
    for count in (0, 1.5, True):
        with pytest.raises(ValueError, match=f"num_envs is {count}, expected an integer of at least 1"):
            envs.make("CartPole-v1", count)
