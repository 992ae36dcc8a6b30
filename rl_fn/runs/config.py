"""What a run is made from: the flags of `rl-fn train`, the content of config.json and the arguments of Run alike."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rl_fn import envs, sets, systems
from rl_fn._src import naming
from rl_fn.envs import registry
from rl_fn.runs import stores
from rl_fn.runs.files import read_json
from rl_fn.runs.scripts import hparam_values
from rl_fn.runs.settings import checked, setting
from rl_fn.sets import modules

if TYPE_CHECKING:
    from rl_fn.agents.base import Agent
    from rl_fn.struct import EnvSpec

FILE = "config.json"
RECORDS = ("copy", "versions", "command")  # what config.json says beside
# What `env_kwargs` may not have -> where it belongs
_NOT_KWARGS = {
    "name": "use --env",
    "num_envs": "it is a hyper-parameter, use --hparam_override",
    "render_mode": "use --render or --record_video",
}
# Headings of the help
_WHAT, _LENGTH, _WHERE, _FILMS = "what is trained", "length, evaluation, saving", "where it runs", "films"
_TRACKING = "tracking"


@dataclasses.dataclass(frozen=True)
class RunConfig:
    """The settings of a run. Values are checked when the struct is made.

    Values by name may also be given as a text, "learning_rate=1e-3,num_envs=16", and names of modules as "a,b".

    Raises:
      ValueError: for a value that is impossible or of the wrong type, naming the setting, what was given and what is
        allowed; for an unknown set or hyper-parameter; if a module cannot be imported.
    """

    hparams: str | None = setting(
        "The set of hyper-parameters: a name, a file NAME.toml, or A-B: A wins, B fills in.",
        metavar="NAME",
        group=_WHAT,
    )
    output_dir: Path = setting(
        "Everything the run writes goes here, also s3://... or gs://...; else to a dated folder in runs/.",
        metavar="DIR",
        group=_WHAT,
    )
    sys: str = setting(
        "Where: local, ray, kubernetes, gcp, aws, azure, tpu, or a cloud as SkyPilot calls it.",
        "local",
        metavar="SYSTEM",
        choices=systems.NAMES,
        group=_WHERE,
    )
    num_workers: int = setting(
        "Processes that share out num_envs and act, while this one learns; with copies, these.",
        1,
        metavar="N",
        low=1,
        high=10_000,
        group=_WHERE,
    )
    sync: bool = setting(
        "Whether workers share each step in lockstep, as devices do, to the result of one process.", False, group=_WHERE
    )
    ray_address: str | None = setting(
        "A cluster of Ray for the workers, such as auto or 10.0.0.1:6379; else one is started here for the run.",
        None,
        metavar="ADDRESS",
        group=_WHERE,
    )
    max_policy_lag: int | None = setting(
        "Updates that the policy of workers may be behind; 0 to take turns; else what the agent allows.",
        None,
        metavar="N",
        low=0,
        high=10**6,
        group=_WHERE,
    )
    env: str | None = setting("The environment, where it is not that of the set.", None, metavar="NAME", group=_WHAT)
    env_kwargs: Mapping[str, Any] = setting(
        'What the environment is made with, such as "size=10".', {}, metavar="NAME=VALUE,...", group=_WHAT
    )
    env_backend: str | None = setting(
        "How environments of other libraries are stepped: in turn, in threads, in processes.",
        None,
        choices=("sync", "thread", "process"),
        group=_WHERE,
    )
    env_timeout: float | None = setting(
        "Seconds in which such an environment must answer.", None, metavar="N", above=0, high=1e6, group=_WHERE
    )
    dataset: str | None = setting(
        "What agents learn from that step no environment: a folder of rl-fn record, or minari:NAME.",
        None,
        metavar="NAME",
        group=_WHAT,
    )
    hparam_override: Mapping[str, Any] = setting(
        'Hyper-parameters, such as "learning_rate=1e-3,num_envs=16".', {}, metavar="NAME=VALUE,...", group=_WHAT
    )
    train_steps: int | None = setting(
        "Environment steps, where not those of the set.", None, metavar="N", low=1, high=2**62, group=_LENGTH
    )
    eval_episodes: int = setting(
        "Whole episodes per evaluation; 0 for none.", 100, metavar="N", low=0, high=10**6, group=_LENGTH
    )
    copies: int = setting(
        "Train the seeds seed, seed + 1, ... side by side in one program, or one of each worker.",
        1,
        metavar="N",
        low=1,
        high=10_000,
        group=_WHAT,
    )
    devices: int = setting(
        "GPUs that share the environments and each batch, or CPUs where there is no GPU.",
        1,
        metavar="N",
        low=1,
        high=1024,
        group=_WHERE,
    )
    precision: str = setting(
        "Of networks' matrix products; bfloat16 is for devices that are fast in it, not CPUs.",
        "float32",
        choices=("float32", "bfloat16"),
        group=_WHAT,
    )
    seed: int = setting(
        "The same seed and settings give the same bits.", 0, metavar="N", low=0, high=2**64 - 1, group=_WHAT
    )
    network: str | None = setting(
        "A network of your own that reads the observation: a Keras model, a pair of functions, or what makes it.",
        None,
        metavar="MODULE:NAME",
        group=_WHAT,
    )
    checkpoint_seconds: float | None = setting(
        "Seconds between checkpoints, 0 for every chance; else 20, or more where writing one is slow.",
        None,
        metavar="N",
        low=0,
        high=3600,
        group=_LENGTH,
    )
    eval_interval: int | None = setting(
        "Environment steps between evaluations; else a twentieth of the run, or more where they are slow.",
        None,
        metavar="N",
        low=1,
        high=2**62,
        group=_LENGTH,
    )
    init_from: Path | None = setting(
        "Begin with what another run has learned: its folder, or one of its copies'.", None, metavar="DIR", group=_WHAT
    )
    record_video: bool = setting("Record films at evaluations, to run_0/videos.", False, group=_FILMS)
    video_episodes: int = setting(
        "Episodes to record or show at a time.", 1, metavar="N", low=1, high=10**6, group=_FILMS
    )
    video_interval: int | None = setting(
        "Environment steps between films, which come with an evaluation; else of each, or fewer where they are slow.",
        None,
        metavar="N",
        low=1,
        high=2**62,
        group=_FILMS,
    )
    render: bool = setting("Show episodes at each evaluation, in a window.", False, group=_FILMS)
    track: str = setting("Who else is told of the run.", "none", choices=("none", "mlflow", "wandb"), group=_TRACKING)
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
    agent: str | None = setting("The module of the agent, where it is not that of the set.", None, flag="")

    def __post_init__(self) -> None:
        for item in dataclasses.fields(self):
            object.__setattr__(self, item.name, checked(item, getattr(self, item.name)))
        if self.seed + self.copies > 2**64:
            raise ValueError(f"seed is {self.seed}, expected at most 2**64 - copies")
        if self.sync and self.num_workers == 1:
            raise ValueError("sync is True, expected num_workers of more than 1, which share each step")
        if self.sync and self.copies > 1:
            raise ValueError(f"copies is {self.copies}, expected 1 with sync, where workers share each step of one run")
        if self.sync and self.max_policy_lag is not None:
            raise ValueError(f"max_policy_lag is {self.max_policy_lag}, expected none with sync, where nothing is old")
        if self.devices > 1 and self.num_workers > 1:
            raise ValueError(f"devices is {self.devices}, expected 1 with num_workers = {self.num_workers}")
        for name, instead in _NOT_KWARGS.items():
            if name in self.env_kwargs:
                raise ValueError(f"env_kwargs cannot have {name}: {instead}")
        modules.import_named(self.imports)
        if self.is_named:
            if (self.env or self._named().env) is None:
                raise ValueError(f"set {self.hparams!r} names no environment; name one with --env")
            self._check_sharing(self.make_hparams())

    @property
    def is_named(self) -> bool:
        """Whether the agent can be made by its name; a script's own has none."""
        return self.agent is not None or self.hparams is not None

    def resolved(self) -> RunConfig:
        """The same run, whatever sets may hold later: agent, environment and all hyper-parameters are told."""
        if not self.is_named:
            return self
        named, hparams = self._named(), self.make_hparams()
        env = self.env or named.env
        # The set's arguments belong to the set's environment.
        theirs = named.env_kwargs if env == named.env else {}
        return dataclasses.replace(
            self,
            agent=named.agent,
            env=env,
            env_kwargs={**theirs, **self.env_kwargs},
            hparam_override=hparam_values(hparams),
            network=None,  # is among the hyper-parameters
            train_steps=hparams.train_steps,
        )

    def make_hparams(self) -> Any:
        """The agent's struct of hyper-parameters."""
        steps = {} if self.train_steps is None else {"train_steps": self.train_steps}
        hparams = sets.make(self._named(), self.hparam_override, **steps)
        return hparams if self.network is None else hparams.with_network(self.network)

    def make_agent(self, spec: EnvSpec, hparams: Any, **data: Any) -> Agent:
        """The agent, where the settings are resolved; `data` is what one that learns from a data set is made with."""
        from rl_fn.agents.base import check_players, in_precision

        module = sets.agent_module(str(self.agent))
        check_players(str(self.agent), spec, getattr(module, "MAX_PLAYERS", 1))
        return in_precision(module.make(spec, hparams, **data), self.precision)

    def in_env(self, name: str | None) -> RunConfig:
        """The settings for another environment, whose arguments and backend are its own; these for the same or none."""
        if name in (None, self.env):
            return self
        return dataclasses.replace(self, env=name, env_kwargs={}, env_backend=None, env_timeout=None)

    def make_env(self, num_envs: int) -> envs.Env | envs.HostEnv:
        """The environment, as many of it side by side where it is stepped on the host."""
        if self.env is None:
            raise ValueError("env is None, expected the name of an environment")
        given = {"backend": self.env_backend, "timeout": self.env_timeout}
        given = {name: value for name, value in given.items() if value is not None}
        return envs.make(self.env, num_envs, **{**self.env_kwargs, **given})

    def to_json(self) -> dict[str, Any]:
        """The settings as JSON holds them."""
        content = {item.name: getattr(self, item.name) for item in dataclasses.fields(self)}
        return json.loads(json.dumps(content, default=_plain))

    @classmethod
    def from_json(cls, path: Path | str) -> RunConfig:
        """Reads a file: the config.json of a run, or one like it.

        A module that the file names must have been imported already, or be part of what the user asked to import.

        Raises:
          ValueError: if the file cannot be read, or says something that cannot be.
        """
        path = Path(path)
        content = read_json(path)
        content = {name: value for name, value in content.items() if name not in RECORDS}
        names = [item.name for item in dataclasses.fields(cls)]
        for name in content:
            if name not in names:
                raise ValueError(f"{path} has {name!r}; the nearest setting is {naming.nearest(name, names)!r}")
        if missing := {"hparams", "output_dir"} - set(content):
            raise ValueError(f"{path} does not say {' and '.join(sorted(missing))}")
        _check_modules(path, content)
        try:
            return cls(**content)
        except (ValueError, OverflowError) as error:
            raise ValueError(f"{path} cannot be used: {error}") from None

    @classmethod
    def read(cls, folder: Path | str) -> RunConfig:
        """Reads the settings of a run from its folder, or that of one of its copies, wherever it is now.

        Raises:
          ValueError: if there is no run, and as `from_json`.
        """
        folder = stores.local(folder)
        copy = folder / "run_0" if (folder / "run_0" / FILE).is_file() else folder
        if not (copy / FILE).is_file():
            raise ValueError(f"{folder} holds no run: there is no {FILE} in it")
        return dataclasses.replace(cls.from_json(copy / FILE), output_dir=copy.absolute().parent)

    def _check_sharing(self, hparams: Any) -> None:
        """Checks that there is a share for each worker: of the copies, or of the environments of the only one."""
        workers, copies = self.num_workers, self.copies
        if workers == 1:
            return
        if copies > 1:
            if workers > copies:
                raise ValueError(f"num_workers is {workers}, expected at most copies = {copies}, which they share out")
            if self.max_policy_lag is not None:
                told = f"max_policy_lag is {self.max_policy_lag}, expected none with copies = {copies}"
                raise ValueError(f"{told}: a worker acts and learns, and nothing is old")
        elif not hparams.schedule.is_offline and hparams.num_envs % workers:
            raise ValueError(
                f"num_workers is {workers}, expected a divisor of num_envs = {hparams.num_envs}, the environments "
                "that they share out"
            )
        else:
            hparams.of_actors(0, hparams.schedule.num_envs // workers)

    def _named(self) -> sets.NamedSet:
        if self.agent is not None:
            return sets.NamedSet(self.agent, None, {}, "")
        return sets.find(str(self.hparams))


def modules_of(content: Mapping[str, Any]) -> list[str]:
    """The modules of the user's own that settings name, each once."""
    imports, agent, env = content.get("imports"), content.get("agent"), content.get("env")
    found = [str(name) for name in imports] if isinstance(imports, list | tuple) else []
    if isinstance(agent, str) and not modules.is_ours(agent):
        found.append(agent)
    values = content.get("hparam_override")
    for value in [content.get("network"), *(values.values() if isinstance(values, dict) else ())]:
        if isinstance(value, str) and naming.is_reference(value):
            found.append(value.partition(":")[0])
    if isinstance(env, str) and (module := registry.module_named(env)):
        found.append(module)
    return list(dict.fromkeys(found))


def _check_modules(path: Path, content: dict[str, Any]) -> None:
    """Checks that nothing would be imported only because a file says so."""
    for name in modules_of(content):
        modules.check(name, path)


def _plain(value: Any) -> Any:
    """What JSON does not know, as near to it as can be."""
    value = value.numpy() if hasattr(value, "numpy") else value
    return value.tolist() if hasattr(value, "tolist") else str(value)
