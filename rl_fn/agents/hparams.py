"""Hyper-parameters: frozen structs that refuse what cannot be when they are made.

    @dataclasses.dataclass(frozen=True)
    class MyHParams(HParams):
        temperature: Scalar = field(0.03, "Of the soft policy.", above=0.0)
        clip: float | None = None

Values are checked by the types of their fields, and by what `field` says is allowed. A subclass that gives a field
another default keeps what was said of it.
"""

from __future__ import annotations

import dataclasses
import functools
import inspect
import math
import sys
import types
import typing
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Concatenate, Literal, Protocol, TypeVar

import numpy as np
import tensorflow as tf

from rl_fn import networks
from rl_fn._src.other_names import instead
from rl_fn.agents.base import Agent, Schedule, check_players
from rl_fn.agents.ranges import USUAL, Choices, Range, around, ends
from rl_fn.struct import EnvSpec, Scalar

Struct = TypeVar("Struct", bound="HParams")
_Theirs = TypeVar("_Theirs", contravariant=True)


def field(
    default: Any,
    doc: str,
    *,
    low: float = -math.inf,
    high: float = math.inf,
    above: float = -math.inf,
    choices: Sequence[str] = (),
    search: Range | None = None,
) -> Any:
    """A hyper-parameter with its default, a line of documentation, and what is allowed.

    Args:
      default: the default value.
      doc: one line.
      low: the smallest value allowed.
      high: the largest value allowed.
      above: values must be greater than this.
      choices: the texts allowed, any where there are none.
      search: where it is usually searched; unless given, what `rl_fn.agents.ranges` says of its name or default.
    """
    metadata = {"doc": doc, "low": low, "high": high, "above": above, "choices": tuple(choices), "search": search}
    return dataclasses.field(default=default, metadata=metadata)


def check_names(struct: Any, names: Iterable[str]) -> None:
    """Raises TypeError unless all are hyper-parameters of a struct, saying which one may be meant."""
    there_are = [item.name for item in dataclasses.fields(struct)]
    for name in names:
        if name not in there_are:
            raise TypeError(f"{struct.__name__} has no hyper-parameter {name!r}; {instead(name, there_are)}")


@dataclasses.dataclass(frozen=True)
class HParams:
    """The hyper-parameters that every agent has. Values are checked when the struct is made.

    A field of type `Scalar` takes a scalar tensor too, so that one compiled program can train many settings.

    Raises:
      TypeError: for a name that is no hyper-parameter; it says which is meant, also by a name of another library.
      ValueError: for a value that is impossible or of the wrong type, naming the field, what was given
        and what is allowed.
    """

    train_steps: int = field(500_000, "Environment steps of the whole run, over all environments.", low=1, high=2**62)
    num_envs: int = field(8, "Environments stepped side by side.", low=1)
    rollout_length: int = field(1, "Steps of each environment between two updates.", low=1)
    gamma: Scalar = field(0.99, "Discount per step.", low=0.0, high=1.0)
    actor_lag: int = field(0, "Updates that the acting policy is behind the learner.", low=0, high=1_000)

    def __new__(cls: type[Struct], *args: Any, **values: Any) -> Struct:
        """Refuses keywords that are no hyper-parameter with the nearest there is, as the command line does."""
        check_names(cls, values)
        return object.__new__(cls)

    def __post_init__(self) -> None:
        undeclared = set(inspect.get_annotations(type(self))) - {item.name for item in dataclasses.fields(self)}
        if undeclared:
            raise TypeError(
                f"{type(self).__name__} has {', '.join(sorted(undeclared))} and is no dataclass: "
                "put @dataclasses.dataclass(frozen=True) above it"
            )
        struct: Any = type(self)
        for name, allowed in described(struct).items():
            object.__setattr__(self, name, allowed.checked(getattr(self, name)))
        if self.num_iterations > _LARGEST[int]:
            raise ValueError(
                f"train_steps is {self.train_steps:,}, which makes {self.num_iterations:,} rollouts of "
                f"{self.schedule.steps:,} steps, expected at most {_LARGEST[int]:,} rollouts"
            )

    @property
    def schedule(self) -> Schedule:
        """What loops want to know of an agent with these hyper-parameters."""
        return Schedule(self.num_envs, self.rollout_length, self.actor_lag)

    @property
    def num_iterations(self) -> int:
        """Rollouts (and updates) in a run: enough that `train_steps` are reached."""
        return -(-self.train_steps // self.schedule.steps)  # a division of floats would round large numbers

    @property
    def num_learning_updates(self) -> int:
        """Updates in a run that take gradient steps, over which step sizes are annealed."""
        return self.num_iterations

    def of_actors(self, first: int, count: int) -> HParams:
        """Those of an agent that acts in some of the environments only: in `count` of them, from `first` on.

        Raises:
          ValueError: if it has to act in all of them.
        """
        del first, count  # most act alike everywhere
        return self

    def override(self: Struct, /, **values: Any) -> Struct:
        """Returns a copy with other values; refuses unknown names."""
        try:
            check_names(type(self), values)
        except TypeError as error:
            raise ValueError(str(error)) from None
        return dataclasses.replace(self, **values)

    def with_network(self: Struct, network: Any) -> Struct:
        """Returns a copy in which a network of one's own reads the observation, or is the memory.

        See `networks.own`, and `networks.recurrent` for a memory.

        Raises:
          ValueError: if an agent of these hyper-parameters has no place for it.
        """
        struct: Any = type(self)
        is_memory = isinstance(network, networks.RecurrentNetwork)
        for name, allowed in described(struct).items():
            if networks.OWN in allowed.choices and (name == "memory") == is_memory:
                return self.override(**{name: network})
        raise ValueError(f"{struct.__name__} has no place for a network of one's own")


class Make(Protocol[_Theirs]):
    """The `make` of an agent with these hyper-parameters; what else it takes, its own docstring says."""

    def __call__(self, spec: EnvSpec, hparams: _Theirs, *, network: Any = None, **kwargs: Any) -> Agent: ...


def takes_network(make: Callable[Concatenate[EnvSpec, _Theirs, ...], Agent]) -> Make[_Theirs]:
    """Gives an agent's `make(spec, hparams, ...)` the keyword `network`, which is `hparams.with_network(network)`.

    It also refuses what is no specification, hyper-parameters of another agent, and games of more players than the
    agent's module allows (`MAX_PLAYERS`, one unless it says so).
    """
    wanted = inspect.get_annotations(make).get("hparams")

    @functools.wraps(make)
    def made(spec: Any, hparams: Any, *args: Any, network: Any = None, **kwargs: Any) -> Any:
        if not isinstance(spec, EnvSpec):
            what = f"{make.__module__}.make: spec is a {type(spec).__name__}"
            raise TypeError(f"{what}, expected the specification of an environment, such as rl.envs.make(name).spec")
        struct: Any = vars(sys.modules[make.__module__]).get(wanted) if isinstance(wanted, str) else wanted
        struct = struct or HParams
        if not isinstance(hparams, struct):
            what = f"{make.__module__}.make: hparams is a {type(hparams).__name__}"
            raise TypeError(f"{what}, expected a {struct.__name__}")
        module = make.__module__
        check_players(module.rpartition(".")[2], spec, getattr(sys.modules[module], "MAX_PLAYERS", 1))
        return make(spec, hparams if network is None else hparams.with_network(network), *args, **kwargs)

    described_as, of_network = inspect.signature(make), inspect.Parameter("network", inspect.Parameter.KEYWORD_ONLY)
    parameters = [*described_as.parameters.values(), of_network.replace(default=None)]
    vars(made)["__signature__"] = described_as.replace(parameters=parameters)  # what help shows
    return made


class Allowed(typing.NamedTuple):
    """What is known of a hyper-parameter."""

    name: str
    kind: Any  # its type
    default: Any
    doc: str = ""
    low: float = -math.inf
    high: float = math.inf
    above: float = -math.inf
    choices: tuple[str, ...] = ()
    search: Range | None = None  # where it is usually searched

    @property
    def may_be_tensor(self) -> bool:
        """Whether it may differ between the copies of a program; what may not makes a program for each value."""
        return tf.Tensor in _alternatives(self.kind) and self.low < self.high

    @property
    def is_whole(self) -> bool:
        """Whether its numbers are integers."""
        return int in _alternatives(self.kind)

    def checked(self, value: Any) -> Any:
        """The value, converted to its type.

        Raises:
          ValueError: if it is not allowed.
        """
        if networks.OWN in self.choices and networks.is_own(value):
            return value
        for kind in _alternatives(self.kind):
            if (convert := _CONVERSIONS.get(kind) or _instance_of(kind)) is None:
                return value  # of a type that cannot be looked for
            if (converted := convert(value)) is not None and self._in_range(converted):
                return converted
            if kind is type(None) and value is None:
                return None
        limit = next((limit for kind, limit in _LARGEST.items() if kind in _alternatives(self.kind)), math.inf)
        is_large = isinstance(value, int | float) and abs(value) > limit and math.isinf(self.high)
        raise ValueError(f"{self.name} is {value!r}, expected {self}" + (f", at most {limit:g}" if is_large else ""))

    def _in_range(self, value: Any) -> bool:
        if isinstance(value, str):
            return not self.choices or value in self.choices
        number = tf.get_static_value(value) if tf.is_tensor(value) else value
        if number is None or isinstance(number, bool) or not isinstance(number, int | float | np.floating):
            return True
        if isinstance(number, int) and math.isinf(self.high) and number > _LARGEST[int]:
            return False
        return bool(self.low <= number <= self.high and number > self.above)

    def __str__(self) -> str:
        if self.choices:
            return "one of " + ", ".join(self.choices)
        kinds = " or ".join(dict.fromkeys(_WORDS.get(kind, str(kind)) for kind in _alternatives(self.kind)))
        limits = [("greater than", self.above), ("at least", self.low), ("at most", self.high)]
        parts = [f"{words} {_number_text(limit)}" for words, limit in limits if math.isfinite(limit)]
        return " ".join([kinds, " and ".join(parts)]).strip()


@functools.cache
def described(struct: Any) -> Mapping[str, Allowed]:
    """What each field of a struct of hyper-parameters allows, by its name."""
    bases = [base for base in struct.__mro__ if "__dataclass_fields__" in base.__dict__]
    allowed = {}
    for item in dataclasses.fields(struct):
        owners = [base for base in bases if item.name in inspect.get_annotations(base)]
        said = [vars(base)["__dataclass_fields__"][item.name].metadata for base in owners]
        metadata = dict(next(filter(None, said), {}))
        kind = _resolved(owners[0], item.type)
        if typing.get_origin(kind) is Literal:
            kind, metadata["choices"] = str, typing.get_args(kind)
        known = Allowed(item.name, kind, item.default, **metadata)
        allowed[item.name] = known if known.search else known._replace(search=_usual(known))
    return types.MappingProxyType(allowed)


def _usual(allowed: Allowed) -> Range | None:
    """Where a field is searched that does not say: by its name, or around its default; None where there is no where."""
    kinds, default = _alternatives(allowed.kind), allowed.default
    if bool in kinds:
        return Choices((False, True))
    if (given := USUAL.get(allowed.name)) is not None and all(map(allowed._in_range, ends(given))):
        return given
    if texts := tuple(choice for choice in allowed.choices if choice != networks.OWN):
        return Choices(texts)
    if isinstance(default, bool) or not isinstance(default, int | float):
        return None
    return around(default, allowed.low, allowed.high)


def _resolved(owner: Any, kind: Any) -> Any:
    """The type that an annotation names; Any where a name is not to be found, as that of a local class."""
    if not isinstance(kind, str):
        return kind
    try:
        return eval(kind, vars(sys.modules[owner.__module__]), dict(vars(owner)))
    except NameError:
        return Any


def _alternatives(kind: Any) -> tuple:
    is_union = typing.get_origin(kind) in (typing.Union, types.UnionType)
    return typing.get_args(kind) if is_union else (kind,)


def _number_text(limit: float) -> str:
    """A limit as people write it: 0.5, 1,000, 2**62."""
    exponent = math.log2(limit) if limit > 1e9 else 0.5
    return f"2**{exponent:.0f}" if exponent.is_integer() else f"{limit:g}"


def _integer(value: Any) -> int | None:
    return int(value) if isinstance(value, int | np.integer) and not isinstance(value, bool) else None


def _number(value: Any) -> float | None:
    is_number = isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool)
    return float(value) if is_number and abs(value) <= _LARGEST[float] else None


def _scalar_tensor(value: Any) -> tf.Tensor | None:
    if not tf.is_tensor(value) or value.shape.rank != 0 or not value.dtype.is_floating:
        return None
    return tf.cast(value, tf.float32)  # one type for all, or float64 would meet float32 in the middle of an agent


def _sizes(value: Any) -> tuple[int, ...] | None:
    sizes = [_integer(size) for size in value] if isinstance(value, tuple | list) else [None]
    return tuple(size for size in sizes if size) if all(0 < (size or 0) <= _LARGEST[int] for size in sizes) else None


def _instance_of(kind: Any) -> Callable[[Any], Any] | None:
    plain = isinstance(kind, type) and kind is not Any and not isinstance(kind, types.GenericAlias)
    return (lambda value: value if isinstance(value, kind) else None) if plain else None


# Of what a device computes with, where a field sets no limit of its own
_LARGEST = {float: float(np.finfo(np.float32).max), int: 2**31 - 1}
_CONVERSIONS: dict[Any, Callable[[Any], Any]] = {
    int: _integer,
    float: _number,
    bool: lambda value: bool(value) if isinstance(value, bool | np.bool_) else None,
    tf.Tensor: _scalar_tensor,
    tuple[int, ...]: _sizes,
}
_WORDS = {
    int: "an integer",
    float: "a number",
    bool: "true or false",
    str: "a text",
    tf.Tensor: "a number",
    tuple[int, ...]: "a tuple of positive integers",
    type(None): "None",
}
