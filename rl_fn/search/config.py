"""What a search is made from: the flags of `rl-fn search`, and what its study remembers."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rl_fn.runs import stores
from rl_fn.runs.config import RunConfig
from rl_fn.runs.settings import checked, setting

SAMPLERS = ("tpe", "gp", "cmaes", "random", "grid")
POPULATION = "pbt"
PRUNERS = ("none", "halving", "hyperband")
_WHAT, _HOW, _LENGTH, _WHERE = "what is searched", "how it is searched", "length and judgement", "where it is kept"
_WHERE_TRAINED, _TRACKING = "where it runs", "tracking"
# Settings of studies that a population has no use for, with values that ask for nothing, as those not given do
_OF_STUDIES: dict[str, tuple] = {
    **dict.fromkeys(("pruner", "batch", "objective", "storage", "grid_points"), ()),
    "seeds": (1,),
    "finalists": (0,),
}


@dataclasses.dataclass(frozen=True)
class SearchConfig:
    """The settings of a search. Values are checked when the struct is made.

    Raises:
      ValueError: for a value that is impossible or of the wrong type, naming the setting, what was given and what is
        allowed; and as `RunConfig`.
    """

    hparams: str = setting("The set of hyper-parameters to begin with; see train.", metavar="NAME", group=_WHAT)
    output_dir: Path = setting("Everything the search writes goes here.", metavar="DIR", group=_WHERE)
    space: str = setting(
        'Such as "learning_rate=log(1e-5,1e-2),gamma=[0.9,0.99],entropy_cost"; usual ones else.',
        "usual",
        metavar="NAME[=RANGE],...",
        group=_WHAT,
    )
    env: str | None = setting("The environment, where it is not that of the set.", None, metavar="NAME", group=_WHAT)
    env_kwargs: Mapping[str, Any] = setting(
        'What the environment is made with, such as "size=10".', {}, metavar="NAME=VALUE,...", group=_WHAT
    )
    hparam_override: Mapping[str, Any] = setting(
        "Hyper-parameters that are the same in all trials.", {}, metavar="NAME=VALUE,...", group=_WHAT
    )
    method: str = setting(
        "What chooses the trials; pbt is population-based training.",
        "tpe",
        choices=(*SAMPLERS, POPULATION),
        group=_HOW,
    )
    pruner: str = setting("What ends poor trials early.", "none", choices=PRUNERS, group=_HOW)
    grid_points: int = setting("Points of each range in a grid.", 4, metavar="N", low=2, high=1_000, group=_HOW)
    trials: int = setting(
        "How many settings are tried; with pbt, the members.", 100, metavar="N", low=1, high=10**6, group=_LENGTH
    )
    batch: int | None = setting(
        "Trials side by side in one program, 8 unless told; one where the environment is stepped on the host.",
        None,
        metavar="N",
        low=1,
        high=4_096,
        group=_LENGTH,
    )
    seeds: int = setting("Seeds of each trial; with pbt, one.", 3, metavar="N", low=1, high=1_000, group=_LENGTH)
    train_steps: int | None = setting(
        "Environment steps of each seed, where not those of the set.",
        None,
        metavar="N",
        low=1,
        high=2**62,
        group=_LENGTH,
    )
    objective: str = setting(
        "Interquartile mean of evaluation returns, at the end or over the run.",
        "final",
        choices=("final", "auc"),
        group=_LENGTH,
    )
    evaluations: int = setting(
        "Evaluations of a trial where more than the last counts; with pbt, generations.",
        10,
        metavar="N",
        low=2,
        high=10_000,
        group=_LENGTH,
    )
    eval_episodes: int = setting(
        "Whole episodes of each seed in an evaluation.", 20, metavar="N", low=1, high=10**6, group=_LENGTH
    )
    finalists: int = setting(
        "The best are trained again with fresh seeds; 0 for none.", 4, metavar="N", low=0, high=1_000, group=_LENGTH
    )
    seed: int = setting("Of the choices, and the first seed of each trial.", 0, metavar="N", low=0, high=2**63)
    num_workers: int = setting(
        "Processes of Ray that train trials, each as many side by side as the batch says.",
        1,
        metavar="N",
        low=1,
        high=10_000,
        group=_WHERE_TRAINED,
    )
    ray_address: str | None = setting(
        "A cluster of Ray for the workers, such as auto or 10.0.0.1:6379; else one is started here for the search.",
        None,
        metavar="ADDRESS",
        group=_WHERE_TRAINED,
    )
    storage: str | None = setting(
        "Where the study is kept, if not in the folder: a URL of Optuna's, or a file.",
        None,
        metavar="URL",
        group=_WHERE,
    )
    track: str = setting(
        "Who else is told of the study and its trials.", "none", choices=("none", "mlflow", "wandb"), group=_TRACKING
    )
    track_uri: str | None = setting(
        "MLflow's server or database, where it is not mlflow.db beside the output folder.",
        None,
        metavar="URL",
        group=_TRACKING,
    )
    imports: tuple[str, ...] = setting(
        "A module of your own, which registers environments and sets; may be given again.",
        (),
        metavar="MODULE",
        flag="import",
        group=_WHAT,
    )

    def __post_init__(self) -> None:
        for item in dataclasses.fields(self):
            object.__setattr__(self, item.name, checked(item, getattr(self, item.name)))
        stores.refuse(self.output_dir, "output_dir")
        if self.method == POPULATION and self.num_workers > 1:
            raise ValueError(f"num_workers is {self.num_workers}, expected 1 with method pbt, which is one program")
        for item in dataclasses.fields(self) if self.method == POPULATION else ():
            value = getattr(self, item.name)
            if item.name in _OF_STUDIES and value not in (item.default, *_OF_STUDIES[item.name]):
                raise ValueError(f"{item.name} is {value!r}, which is for studies: expected none with method pbt")
        if self.track_uri is not None and self.track != "mlflow":
            raise ValueError(
                f"track_uri is {self.track_uri!r}, which belongs to track mlflow, and track is {self.track}"
            )
        if self.run().make_hparams().schedule.is_offline:  # run() checks the rest
            raise ValueError(
                f"hparams {self.hparams} learns from a data set, and trials need an environment to learn in"
            )

    def run(self, **values: Any) -> RunConfig:
        """The settings of one run with the set's values, and with others where they are given."""
        return RunConfig(
            hparams=self.hparams,
            output_dir=self.output_dir,
            env=self.env,
            env_kwargs=self.env_kwargs,
            hparam_override={**self.hparam_override, **values},
            train_steps=self.train_steps,
            eval_episodes=self.eval_episodes,
            imports=self.imports,
        )

    @property
    def rungs(self) -> int:
        """Evaluations of a trial: one, where only the last counts; of a population, generations."""
        only_last = self.objective == "final" and self.pruner == "none" and self.method != POPULATION
        return 1 if only_last else self.evaluations

    def identity(self, space: str) -> dict[str, Any]:
        """What must be the same in all processes of a study, and where it is gone on with, as JSON holds it.

        A study may be given more trials later; a population cannot have more members.
        """
        run = self.run().resolved().to_json()
        what = {name: run[name] for name in ("agent", "env", "env_kwargs", "hparam_override", "train_steps")}
        names = ["method", "pruner", "seeds", "objective", "rungs", "eval_episodes", "seed"]
        names += ["trials"] if self.method == POPULATION else []
        return {**what, "space": space, **{name: getattr(self, name) for name in names}}
