"""What other systems and object stores need is asked for in a sentence, and nothing of it is there without."""

import subprocess
import sys

import pytest
import yaml

from rl_fn.commands import main
from rl_fn.commands.flags import words_of
from rl_fn.commands.parser import read
from rl_fn.commands.table import COMMANDS
from rl_fn.commands.train import train
from rl_fn.runs import RunConfig, datasets, reporters, stores
from rl_fn.systems import packing

ASKED = ["--hparams", "ppo_cartpole", "--output_dir", "s3://bucket/run"]


@pytest.mark.parametrize(
    ("package", "args", "sentence"),
    [
        ("fsspec", [], 's3://bucket/run needs fsspec, which is not installed: pip install "rl-fn[storage]"'),
        ("sky", ["--sys", "gcp"], '--sys gcp needs sky, which is not installed: pip install "rl-fn[cloud]"'),
        (
            "ray",
            ["--sys", "ray", "--ray_address", "auto"],
            '--sys ray needs ray, which is not installed: pip install "rl-fn[workers]"',
        ),
    ],
)
def test_a_missing_package_is_told_with_its_extra(package, args, sentence, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, package, None)
    monkeypatch.delitem(sys.modules, "rl_fn.systems.ray", raising=False)
    with pytest.raises(SystemExit, match="2"):
        main(["train", *ASKED, *args])
    assert capsys.readouterr().err == f"rl-fn: error: {sentence}\n"


def test_the_command_line_needs_no_package_of_another_system():
    code = (
        "import sys\nfrom rl_fn.commands import main\nmain(['train', '--help'])\n"
        "print(sorted({'ray', 'sky', 'fsspec', 'yaml', 'tensorflow', 'kubernetes'} & set(sys.modules)))"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout.splitlines()[-1] == "[]"


def test_words_say_what_was_read_from_them():
    words = [
        *ASKED,
        "--import=a",
        "--import=b",
        "--seed=3",
        "--record_video",
        "--no_compilation_cache",
        "--config=c.json",
    ]
    read_once = read(COMMANDS, ["train", *words]).arguments
    told = {name: value for name, value in {**read_once, **read_once["flags"]}.items() if name != "flags"}
    again = words_of(train, told)
    assert read(COMMANDS, ["train", *again]).arguments == read_once
    assert "--quiet=False" not in again  # it is so anyway


@pytest.mark.parametrize(
    ("settings", "extras"),
    [
        ({}, []),
        ({"num_workers": 4}, ["workers"]),
        ({"copies": 8, "num_workers": 8}, ["workers"]),
        ({"output_dir": "gs://bucket/run"}, ["storage"]),
        ({"init_from": "s3://bucket/run"}, ["storage"]),
        ({"track": "mlflow"}, ["mlflow"]),
        ({"track": "wandb"}, ["wandb"]),
        ({"record_video": True}, ["video"]),
        ({"dataset": "minari:D4RL/door/human-v2"}, ["minari"]),
        ({"env": "ALE/Pong-v5"}, ["atari"]),
        ({"env": "PongNoFrameskip-v4"}, ["atari"]),
        ({"hparams": "dqn_atari"}, ["atari"]),
        ({"env": "envpool:Pong-v5"}, ["envpool"]),
        ({"env": "procgen:coinrun"}, ["envpool"]),
        ({"env": "LunarLander-v3"}, ["box2d"]),
        ({"env": "gym:BipedalWalker-v3"}, ["box2d"]),
        ({"env": "gymnasium:HalfCheetah-v5"}, ["mujoco"]),
        ({"env": "gymnasium:phys2d/CartPole-v1"}, ["jax"]),
        ({"env": "gymnasium:CartPole-v1"}, []),
        ({"env": "compiled:CartPole-v1", "track": "mlflow", "num_workers": 2}, ["workers", "mlflow"]),
    ],
)
def test_what_a_run_needs_beside_the_core_follows_from_its_settings(settings, extras):
    assert list(packing.needed(RunConfig(**{"hparams": "ppo_cartpole", "output_dir": "/x", **settings}))) == extras
    assert len(packing.of_extras(extras)) >= len(extras)  # all of them are declared


def test_addresses_are_told_from_paths():
    address = stores.path("s3://bucket/run")
    assert str(address) == "s3://bucket/run"
    assert str(address / "run_0") == "s3://bucket/run/run_0"
    assert stores.path(str(stores.path("s3:/bucket/run"))) == address  # as a path writes it
    assert str(stores.path("runs//mine")) == "runs/mine"
    assert not isinstance(stores.path("runs/a:b"), stores.Address)


def test_a_manifest_says_what_its_image_needs(capsys):
    main(["manifest", *ASKED, "--image", "rl-fn:1", "--env", "ALE/Pong-v5", "--num_workers", "2"])
    told = capsys.readouterr().err
    assert told == "rl-fn: the image must be built with --build-arg EXTRAS=atari,storage,workers\n"


def test_a_manifest_holds_the_command(capsys):
    main(["manifest", *ASKED, "--image", "rl-fn:1", "--seed", "3"])
    made = yaml.safe_load(capsys.readouterr().out)
    assert made["kind"] == "Job"
    (container,) = made["spec"]["template"]["spec"]["containers"]
    assert container["args"] == ["train", "--hparams=ppo_cartpole", "--output_dir=s3://bucket/run", "--seed=3"]


@pytest.mark.parametrize(
    ("args", "sentence"),
    [
        (
            "record runs/mine --output s3://bucket/data",
            "output is 's3://bucket/data', expected a file or folder of this",
        ),
        ("export runs/mine --output s3://bucket/out", "output is 's3://bucket/out', expected a file or folder of this"),
        (
            "plot runs/mine --csv gs://bucket/a.csv",
            "csv is 'gs://bucket/a.csv', expected a file or folder of this machine",
        ),
        (
            "record runs/mine --output minari:unnumbered",
            "output is 'minari:unnumbered', expected a name such as minari:",
        ),
        ("dream s3://bucket/run", "dream writes to the folder of the run, expected one of this machine"),
        ("train --hparams ppo_cartpole --accelerator H100:1", "accelerator is about another system: name one, such as"),
        ("train --hparams ppo_cartpole --spot", "spot is about another system: name one, such as --sys gcp"),
        ("train --hparams ppo_cartpole --ray_address auto", "ray_address is about workers: say how many, such as"),
        ("train --hparams ppo_cartpole --max_policy_lag 3", "max_policy_lag is about workers: say how many, such as"),
        ("train --test_only --sys gcp --output_dir gs://bucket/run", "a test happens on this machine"),
    ],
)
def test_what_would_be_written_where_nobody_looks_or_be_ignored_is_refused(
    args, sentence, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(datasets, "_needs_minari", lambda name: None)
    with pytest.raises(SystemExit, match="2"):
        main(args.split())
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("rl-fn: error: ")
    assert sentence in line
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("track", ["mlflow", "wandb"])
def test_trackers_need_a_server_where_the_output_folder_is_on_a_store(track, monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.delenv("WANDB_MODE", raising=False)
    with pytest.raises(ValueError, match=f"track {track} needs .* cannot be beside s3://bucket/run"):
        reporters.tracked(track, None, stores.path("s3://bucket/run"))


@pytest.mark.parametrize(
    ("args", "sentence"),
    [
        (["--num_workers", "3"], "num_workers is 3, expected a divisor of num_envs = 4"),
        (["--devices", "2", "--accelerator", "v5litepod-4"], "devices is 2, expected 1 on TPUs"),
        (["--cpus", "two"], "cpus is 'two', expected such as 2 or 500m"),
        (["--memory", "lots"], "memory is 'lots', expected such as 8Gi or 500M"),
        (["--namespace", "A B"], "namespace is 'A B', expected such as default"),
    ],
)
def test_a_manifest_that_no_cluster_would_take_is_refused(args, sentence, capsys):
    with pytest.raises(SystemExit, match="2"):
        main(["manifest", *ASKED, "--image", "rl-fn:1", *args])
    said = capsys.readouterr()
    assert sentence in said.err
    assert not said.out
