"""What an agent is: three pure functions, and a struct of hyper-parameters."""

from __future__ import annotations

import dataclasses
import difflib
import math
from collections.abc import Callable, Sequence
from typing import Any, Literal, NamedTuple, Protocol

import tensorflow as tf
from gymnasium import spaces

from rl_fn import random
from rl_fn.struct import EnvSpec, Metrics, Nest, Scalar, Transition

Mode = Literal["train", "eval"]  # exploration is off in "eval"


class ActorStep(NamedTuple):
    action: tf.Tensor  # [B, ...]
    actor_state: Nest
    extras: dict[str, tf.Tensor]  # stored in the trajectory for the update


class AgentState(Protocol):
    """A NamedTuple of the agent's own, with at least this attribute."""

    @property
    def policy(self) -> Nest:
        """All that `act` needs."""


class Schedule(NamedTuple):
    """What an agent was built for; loops read it from the agent, so that nothing is told twice."""

    num_envs: int  # B, the environments stepped side by side
    rollout_length: int  # T, the steps of each environment between two updates
    actor_lag: int = 0  # updates that the acting policy is behind the learner

    @property
    def steps(self) -> int:
        """Environment steps of one rollout, over all environments."""
        return self.num_envs * self.rollout_length


class Agent(NamedTuple):
    """A learning algorithm. None of the functions touches anything but its arguments."""

    schedule: Schedule
    # key -> agent_state
    init: Callable[[random.Key], Any]
    # batch_size -> actor_state: what an actor carries from step to step, reset where an episode begins
    init_actor: Callable[[int], Nest]
    # (policy, actor_state, observation [B, ...], key, mode) -> ActorStep
    act: Callable[[Nest, Nest, Nest, random.Key, Mode], ActorStep]
    # (agent_state, trajectory [T, B, ...], key) -> (agent_state, metrics)
    update: Callable[[Any, Transition, random.Key], tuple[Any, Metrics]]
    # agent_state -> agent_state, where all environments begin anew between two trajectories: what waits for its next
    # steps ends here, as truncated
    cut: Callable[[Any], Any] = lambda state: state


def field(
    default: Any,
    doc: str,
    *,
    low: float = -math.inf,
    high: float = math.inf,
    above: float = -math.inf,
    choices: Sequence[str] = (),
) -> Any:
    """A hyper-parameter with its default, a line of documentation, and what is allowed.

    Args:
      default: the default value.
      doc: one line.
      low: the smallest value allowed.
      high: the largest value allowed.
      above: values must be greater than this.
      choices: the texts allowed.
    """
    metadata = {"doc": doc, "low": low, "high": high, "above": above, "choices": tuple(choices)}
    return dataclasses.field(default=default, metadata=metadata)


@dataclasses.dataclass(frozen=True)
class HParams:
    """The hyper-parameters that every agent has. Values are checked when the struct is made.

    Raises:
      ValueError: for a value that is impossible or of the wrong type, naming the field, what was given
        and what is allowed.
    """

    train_steps: int = field(500_000, "Environment steps of the whole run, over all environments.", low=1)
    num_envs: int = field(8, "Environments stepped side by side.", low=1)
    rollout_length: int = field(1, "Steps of each environment between two updates.", low=1)
    gamma: Scalar = field(0.99, "Discount per step.", low=0.0, high=1.0)
    actor_lag: int = field(0, "Updates that the acting policy is behind the learner.", low=0, high=1_000)

    def __post_init__(self) -> None:
        for item in dataclasses.fields(self):
            object.__setattr__(self, item.name, _checked(item, getattr(self, item.name)))

    @property
    def schedule(self) -> Schedule:
        """What loops want to know of an agent with these hyper-parameters."""
        return Schedule(self.num_envs, self.rollout_length, self.actor_lag)

    @property
    def num_iterations(self) -> int:
        """Rollouts (and updates) in a run: enough that `train_steps` are reached."""
        return math.ceil(self.train_steps / (self.num_envs * self.rollout_length))

    def override(self, **values: Any) -> HParams:
        """Returns a copy with other values; refuses unknown names."""
        names = [item.name for item in dataclasses.fields(self)]
        for name in values:
            if name not in names:
                near = difflib.get_close_matches(name, names, n=1, cutoff=0.0)[0]
                raise ValueError(
                    f"{type(self).__name__} has no hyper-parameter {name!r}; the nearest is {near!r}, "
                    f"there are: {', '.join(names)}"
                )
        return dataclasses.replace(self, **values)


def num_actions(agent: str, spec: EnvSpec) -> int:
    """The number of discrete actions; raises ValueError if the action space is of another kind."""
    if not isinstance(spec.action_space, spaces.Discrete):
        raise ValueError(f"{agent} needs a Discrete action space, {spec.name} has {spec.action_space}")
    return int(spec.action_space.n)


def check_divides(name: str, value: int, whole_name: str, whole: int) -> None:
    """Raises ValueError unless `value` divides `whole`."""
    if whole % value:
        raise ValueError(f"{name} is {value}, expected a divisor of {whole_name} = {whole}")


_KINDS = {
    "int": "an integer",
    "Scalar": "a number",
    "float": "a number",
    "bool": "true or false",
    "str": "a text",
    "tuple[int, ...]": "a tuple of positive integers",
}


def _checked(item: dataclasses.Field, value: Any) -> Any:
    kind = str(item.type)
    refusal = f"{item.name} is {value!r}, expected {_allowed(item, kind)}"
    if kind == "bool":
        if not isinstance(value, bool):
            raise ValueError(refusal)
    elif kind == "str":
        if value not in item.metadata["choices"]:
            raise ValueError(refusal)
    elif kind == "tuple[int, ...]":
        if isinstance(value, list):
            value = tuple(value)
        if not isinstance(value, tuple) or not all(type(size) is int and size > 0 for size in value):
            raise ValueError(refusal)
    elif kind == "Scalar" and tf.is_tensor(value):
        if value.shape.rank != 0 or not value.dtype.is_floating:
            raise ValueError(refusal)
    else:
        if isinstance(value, bool) or not isinstance(value, int if kind == "int" else int | float):
            raise ValueError(refusal)
        limits = item.metadata
        if not (limits["low"] <= value <= limits["high"] and value > limits["above"]) or math.isnan(value):
            raise ValueError(refusal)
        value = value if kind == "int" else float(value)
    return value


def _allowed(item: dataclasses.Field, kind: str) -> str:
    limits = item.metadata
    if limits["choices"]:
        return "one of " + ", ".join(limits["choices"])
    parts = []
    if limits["above"] > -math.inf:
        parts.append(f"greater than {limits['above']:g}")
    if limits["low"] > -math.inf:
        parts.append(f"at least {limits['low']:g}")
    if limits["high"] < math.inf:
        parts.append(f"at most {limits['high']:g}")
    return " ".join([_KINDS[kind], " and ".join(parts)]).strip()
