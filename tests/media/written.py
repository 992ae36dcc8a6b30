"""Folders of runs as runs write them, with curves of one's choice."""

import json


def run(folder, curves, *, hparams="ppo", env="CartPole-v1", seed=0, **values):
    """A run whose copies have the given evaluation returns at steps 100, 200, ..."""
    for copy, returns in enumerate(curves):
        path = folder / f"run_{copy}"
        path.mkdir(parents=True)
        config = {
            "hparams": hparams,
            "env": env,
            "env_kwargs": {},
            "seed": seed,
            "copy": copy,
            "output_dir": str(folder),
        }
        config |= {"hparam_override": {"gamma": 0.99, **values}, "versions": {"rl_fn": "0.1"}}
        (path / "config.json").write_text(json.dumps(config))
        lines = [f"{100 * (index + 1)},1.5,{value}" for index, value in enumerate(returns)]
        text = "\n".join(["env_steps,train/loss,eval/return_mean", "50,2.5,", *lines])
        (path / "metrics.csv").write_text(f"{text}\n")
    return folder
