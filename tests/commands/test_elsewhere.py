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
from rl_fn.runs import stores

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


def test_addresses_are_told_from_paths():
    address = stores.path("s3://bucket/run")
    assert str(address) == "s3://bucket/run"
    assert str(address / "run_0") == "s3://bucket/run/run_0"
    assert stores.path(str(stores.path("s3:/bucket/run"))) == address  # as a path writes it
    assert str(stores.path("runs//mine")) == "runs/mine"
    assert not isinstance(stores.path("runs/a:b"), stores.Address)


def test_a_manifest_holds_the_command(capsys):
    main(["manifest", *ASKED, "--image", "rl-fn:1", "--seed", "3"])
    made = yaml.safe_load(capsys.readouterr().out)
    assert made["kind"] == "Job"
    (container,) = made["spec"]["template"]["spec"]["containers"]
    assert container["args"] == ["train", "--hparams=ppo_cartpole", "--output_dir=s3://bucket/run", "--seed=3"]
