"""`rl-fn play`: what it refuses; films are in tests/extras."""

import json

import pytest

from rl_fn import commands


def test_mistakes_in_what_to_play_get_one_sentence(tmp_path, capsys):
    run = tmp_path / "run_0"
    run.mkdir()

    def refusal(config=None, *flags):
        if config is not None:
            (run / "config.json").write_text(config if isinstance(config, str) else json.dumps(config))
        with pytest.raises(SystemExit) as exit_info:
            commands.main(["play", str(run), *flags])
        assert exit_info.value.code == 2
        return capsys.readouterr().err

    good = {"hparams": None, "output_dir": "runs", "env": "CartPole-v1", "agent": "ppo"}
    assert "holds no run" in refusal()
    assert "cannot be read" in refusal("{")
    assert "does not say hparams and output_dir" in refusal({"env": "CartPole-v1"})
    assert "has no checkpoint yet" in refusal(good)
    (run / "checkpoints").mkdir()
    (run / "checkpoints" / "iteration_000000000001.npz").write_bytes(b"")
    assert "names the module 'ddpgg'" in refusal({**good, "agent": "ddpgg"})
    assert "is damaged" in refusal(good)
    assert "episodes is 0" in refusal(good, "--episodes", "0")
