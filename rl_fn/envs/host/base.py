"""The protocol of host environments: whatever follows the API of Gymnasium or of Gym 0.26, batched, in NumPy."""

from __future__ import annotations

import logging
from typing import Any, Protocol

import numpy as np
from gymnasium import spaces

from rl_fn._src.spaces import from_zero, short
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
        """Takes the actions `[B, ...]`; the result is a compiled environment's, in NumPy.

        Raises:
          ValueError: for actions of another shape, or no integers where the space is discrete; and before `reset`.
        """

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


def checked_actions(spec: EnvSpec, num_envs: int, actions: Any) -> np.ndarray:
    """The actions as an array: what no environment takes is a mistake of whoever acts, and no failure of theirs.

    Raises:
      ValueError: unless there is one for each environment, of integers where the space is discrete.
    """
    given, space = np.asarray(actions), spec.action_space
    if given.shape != (num_envs, *(space.shape or ())):
        expected = (num_envs, *(space.shape or ()))
        raise ValueError(f"{spec.name}: the actions have shape {given.shape}, expected {expected}")
    if not isinstance(space, spaces.Box) and given.dtype.kind not in "iub":
        raise ValueError(f"{spec.name}: the actions are {short(given)}, expected integers of {space}")
    return given


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
