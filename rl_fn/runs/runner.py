"""Where a run happens: compiled together with its environments, or around environments on the host."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Protocol

import numpy as np

from rl_fn import loops, random
from rl_fn.agents.base import Agent
from rl_fn.envs import registry
from rl_fn.envs.base import Env
from rl_fn.envs.host.base import HostEnv
from rl_fn.envs.host.failures import Failures
from rl_fn.runs.devices import Devices
from rl_fn.runs.host import Host
from rl_fn.runs.local import Local
from rl_fn.struct import Nest


class Runner(Protocol):
    """What a run asks of the place where it happens."""

    def init(self, key: random.Key) -> Nest:
        """The state of one copy at the start."""

    def compile(self, state: Nest) -> loops.Running:
        """The training step with its state."""

    def train(self, compiled: Any, iterations: int, **options: Any) -> Iterator[loops.Chunk]:
        """Trains in chunks; the options are those of `loops.train`."""

    def evaluate(self, policy: Nest, keys: list[random.Key], stop: loops.Stop) -> loops.Evaluation:
        """Plays whole episodes without exploration; there is a key for each copy."""

    def actions(self) -> np.ndarray | None:
        """A sample of the actions of evaluations since the last call, `[steps, B, ...]`; copies have a leading axis."""

    def failures(self) -> Failures | None:
        """What environments failed since the last call; None where they cannot."""

    def infos(self) -> dict[str, float]:
        """Means of what environments reported of the episodes that ended in training since the last call."""

    def stopping(self) -> None:
        """The run was told to stop: tells where something keeps it from that."""

    def close(self) -> None:
        """Closes what was made for the evaluation."""


def make_runner(
    agent: Agent,
    env: Env | HostEnv,
    eval_env: Env | HostEnv | Callable[[int], HostEnv] | None,
    copies: int,
    eval_episodes: int,
    devices: int = 1,
) -> Runner:
    """Makes the runner that fits the environment; see `Run` for the arguments.

    Raises:
      ValueError: for several copies or devices of host environments, for several copies on several devices, for devices
        that are not there or cannot share the run equally, or where there is nothing to evaluate in.
    """
    name = env.spec.name
    if isinstance(env, Env):
        eval_env = env if eval_env is None else eval_env
        if not isinstance(eval_env, Env):
            raise ValueError(f"{name} is compiled, expected an eval_env that is compiled, too")
        if devices > 1 and agent.schedule.is_offline:
            raise ValueError(f"devices is {devices}, expected 1: the agent learns from a data set")
        if devices == 1:
            return Local(agent, env, eval_env, copies, eval_episodes)
        if copies > 1:
            raise ValueError(f"copies is {copies}, expected 1 on {devices} devices, which share one run")
        return Devices(agent, env, eval_env, eval_episodes, devices)
    if devices > 1:
        raise ValueError(f"devices is {devices}, expected 1: {name} is stepped on the host")
    if copies > 1:
        raise ValueError(f"copies is {copies}, expected 1: {name} is stepped on the host")
    if isinstance(eval_env, Env):
        raise ValueError(f"{name} is stepped on the host, expected an eval_env that is, too")
    if eval_env is None and eval_episodes:
        if not hasattr(env, "remake"):
            raise ValueError(
                f"{name} was handed over as it is, so that the run cannot make more of it to evaluate in: give "
                "eval_env, such as a function from their number to environments, or eval_episodes=0"
            )
        eval_env = lambda num_envs: registry.judged_like(env, num_envs)
    return Host(agent, env, eval_env, eval_episodes)
