"""The package as it is installed from its wheel: `make test-wheel` runs this in an empty folder."""

import os
import re
import shlex
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
BIN = Path(sys.executable).parent
# Of the README's commands those that train end soon.
SHORT = "--train_steps 2048 --eval_episodes 2"
COMMANDS = [
    *[f"{command} {SHORT}" for command in re.findall(r"^    (rl-fn train .+)", README, re.MULTILINE)],
    *re.findall(r"`(rl-fn (?:list|show \w+|envs|train --help))`", README),
    *re.findall(r'\$\((rl-fn completion \w+)\)"', README),
    "rl-fn version",
    "rl-fn play runs/ppo_cartpole --episodes 1",
    "rl-fn evaluate runs/ppo_cartpole --episodes 2",
    "rl-fn export runs/ppo_cartpole --output exported",
]


@pytest.fixture(scope="module")
def empty(tmp_path_factory):
    return tmp_path_factory.mktemp("empty")


def run(*command, cwd, **variables):
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    environment |= {"PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}", **variables}
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, f"{shlex.join(command)}\n{done.stdout[-2000:]}{done.stderr[-2000:]}"
    return done.stdout


def files_of(folder):
    return {str(path.relative_to(ROOT)) for path in (ROOT / folder).rglob("*.py")}


def test_the_wheel_holds_the_package_and_nothing_else():
    (wheel,) = (ROOT / "dist").glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    assert {name for name in names if ".dist-info/" not in name} == files_of("rl_fn") | {"rl_fn/py.typed"}


def test_the_source_distribution_holds_what_its_tests_need():
    (archive,) = (ROOT / "dist").glob("*.tar.gz")
    with tarfile.open(archive) as opened:
        names = {name.partition("/")[2] for name in opened.getnames()}
    assert files_of("rl_fn") | files_of("tests") | files_of("experiments") <= names
    assert {"Makefile", "README.md", "constraints.txt", "docs/index.md", "tests/reference_cases.json"} <= names
    assert not [name for name in names if name.endswith(".pyc") or name.startswith((".", "build/", "dist/"))]


def test_it_is_the_installed_one_that_is_tried(empty):
    where = Path(run(sys.executable, "-c", "import rl_fn; print(rl_fn.__file__)", cwd=empty).strip())
    assert where.parts[-3:] == ("site-packages", "rl_fn", "__init__.py")
    assert ROOT / "rl_fn" not in where.parents


def test_the_readme_names_commands_of_every_kind():
    assert {command.split()[1] for command in COMMANDS} >= {"completion", "envs", "list", "show", "train"}
    assert len([command for command in COMMANDS if SHORT in command]) == 2


@pytest.mark.parametrize("command", COMMANDS)
def test_commands_work(command, empty):
    assert run(*shlex.split(command), cwd=empty)


def test_the_module_is_the_command(empty):
    assert run(sys.executable, "-m", "rl_fn", "version", cwd=empty) == run("rl-fn", "version", cwd=empty)


def test_help_shows_shapes(empty):
    shown = run(sys.executable, "-c", "import rl_fn as rl; help(rl.losses.q_learning)", cwd=empty, PAGER="cat")
    assert "q_learning(q_tm1" in shown
    assert "[..., A]" in shown
    assert "discount_t: `[...]`" in shown


SCRIPT = """
import rl_fn as rl

env = rl.envs.make("CartPole-v1")
assert isinstance(env, rl.envs.Env)
hparams = rl.agents.ppo.PPOHParams(num_envs=8, train_steps=1_000)
agent = rl.agents.ppo.make(env.spec, hparams)
buffer = rl.replay.prioritized(100, rl.struct.space_spec(env.spec.observation_space))
run = rl.runs.Run(agent, env, "runs/mine", hparams=hparams)
error = rl.losses.q_learning
for report in run:
    steps: int = report.env_steps
    mean: float = report.metrics["episode_return"].mean().item()
reveal_type(error)
reveal_type(rl.random.key(0))
reveal_type(agent.schedule.num_envs)
reveal_type(buffer.is_ready)
reveal_type(hparams.learning_rate)
reveal_type(rl.agents.dqn.make)
"""
KNOWN = [
    "def (q_tm1: tensorflow.Tensor, a_tm1: tensorflow.Tensor, r_t: tensorflow.Tensor, discount_t: tensorflow.Tensor, "
    "q_t: tensorflow.Tensor, stop_target_gradients: bool =) -> tensorflow.Tensor",
    "tensorflow.Tensor",
    "int",
    "rl_fn._src.replay.base.IsReady",
    "float | tensorflow.Tensor",
    "rl_fn.agents.hparams.Make[rl_fn.agents.dqn.DQNHParams]",
]


def mypy(text, folder):
    (folder / "script.py").write_text(text)
    command = [sys.executable, "-m", "mypy", "--strict", "--cache-dir", str(folder.parent / "mypy"), "script.py"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=600).stdout


def test_a_strictly_checked_script_knows_the_types(tmp_path):
    said = mypy(SCRIPT, tmp_path)
    assert re.findall(r'Revealed type is "(.+)"$', said, re.MULTILINE) == KNOWN
    assert "Success" in said


def test_a_misspelt_name_and_a_wrong_type_are_found(tmp_path):
    said = mypy('import rl_fn as rl\n\nrl.lossess\nrl.agents.ppoo\nrl.runs.Run("ppo", "env", 3)\n', tmp_path)
    assert 'Module has no attribute "lossess"' in said
    assert 'Module has no attribute "ppoo"' in said
    assert 'Argument 1 to "Run" has incompatible type "str"; expected "Agent"' in said


def test_a_clone_is_found_from_the_folder_that_it_is_in(tmp_path):
    """There `rl_fn` is the clone, a folder that is no package; what is imported must be the package inside of it."""
    (archive,) = (ROOT / "dist").glob("*.tar.gz")
    with tarfile.open(archive) as opened:
        opened.extractall(tmp_path, filter="data")
    (unpacked,) = tmp_path.iterdir()
    unpacked.rename(tmp_path / "rl_fn")
    python = str(tmp_path / "venv" / "bin" / "python")
    run(sys.executable, "-m", "venv", tmp_path / "venv", cwd=tmp_path)
    run(python, "-m", "pip", "install", "--quiet", "--no-deps", "--editable", "./rl_fn", cwd=tmp_path)
    found = run(python, "-c", "import rl_fn; print(rl_fn.__file__, rl_fn.__version__)", cwd=tmp_path)
    assert found.split()[0] == str(tmp_path / "rl_fn" / "rl_fn" / "__init__.py")
