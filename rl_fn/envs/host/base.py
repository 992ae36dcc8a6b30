"""The protocol of host environments: whatever follows the API of Gymnasium or of Gym 0.26, batched, in NumPy."""

from __future__ import annotations

import logging
from typing import Any, Protocol

import numpy as np

from rl_fn._src.spaces import from_zero
from rl_fn.envs.base import EnvStep
from rl_fn.envs.host.failures import reason_of
from rl_fn.envs.host.session import Description
from rl_fn.envs.host.worker import WorkerError
from rl_fn.struct import EnvSpec, Nest

_LOG = logging.getLogger(__name__)


class HostEnv(Protocol):
    """A batch of environments with a state of their own; those whose episode ends start again by themselves.

    All arrays are new at each call. Discrete observations and actions count from 0, whatever the
    environment itself counts from; Box actions are clipped to the bounds of their space.
    """

    spec: EnvSpec
    num_envs: int

    def reset(self, seed: int) -> Nest:
        """Starts all episodes anew and returns the observation `[B, ...]`; equal seeds give equal episodes."""

    def step(self, actions: np.ndarray) -> EnvStep:
        """Takes the actions `[B, ...]`; the result is a compiled environment's, in NumPy."""

    def render(self) -> np.ndarray:
        """A picture `uint8[H, W, 3]` of the first environment; raises ValueError where it has none."""

    def close(self) -> None:
        """Closes the environments and ends their threads or processes."""


def host_spec(name: str, described: Description) -> EnvSpec:
    """The specification of a host environment, as agents see it."""
    return EnvSpec(
        name,
        from_zero(described.observation_space),
        from_zero(described.action_space),
        described.max_episode_steps,
        described.reward_threshold,
        described.render_fps,
    )


def close_and_tell(name: str, env: Any) -> None:
    """Closes what has a `close`; where that fails, it is told by `logging`, and what comes after goes on."""
    try:
        env.close()
    except Exception as error:
        reason = reason_of(str(error)) if isinstance(error, WorkerError) else f"{type(error).__name__}: {error}"
        _LOG.error("%s failed to close: %s", name, reason)


def name_of(env: Any) -> str:
    """The name that an environment was registered under, else that of its class."""
    spec = getattr(env, "spec", None)
    return getattr(spec, "id", None) or type(getattr(env, "unwrapped", env)).__name__
