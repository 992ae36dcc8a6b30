"""Host environments: whatever follows the API of Gymnasium or of Gym 0.26, batched, in NumPy."""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Sequence
from typing import Any, Literal, Protocol

import gymnasium
import numpy as np
import tensorflow as tf

from rl_fn.envs import registry
from rl_fn.envs.base import EnvStep
from rl_fn.envs.host import spaces as host_spaces
from rl_fn.envs.host import worker
from rl_fn.envs.host.worker import Description, InlineWorker, Outcome, ProcessWorker, ThreadWorker, Worker, WorkerError
from rl_fn.struct import EnvSpec, Nest

Backend = Literal["sync", "thread", "process"]
BACKENDS: dict[str, Callable[[Callable[[], Any]], Worker]] = {
    "sync": InlineWorker,
    "thread": ThreadWorker,
    "process": ProcessWorker,
}
_START_SECONDS = 60.0  # making an environment may take so long, however short the timeout
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


def gymnasium_env(source: Any, num_envs: int | None = None, backend: Backend = "sync", **kwargs: Any) -> HostEnv:
    """Makes a host environment of a name, of environments that exist already, or of a function that makes them.

    Args:
      source: a name of Gymnasium's registry (also `module:name`, where importing the module registers it);
        a function without arguments that makes one environment; an environment; a list of them; or a
        `gymnasium.vector.VectorEnv`. Environments of Gym 0.26 are as good as those of Gymnasium.
      num_envs: B; 1 unless given, or as many as were handed over.
      backend: "sync" steps them one after the other, which is fastest where a step takes microseconds;
        "thread" side by side where they release Python's lock; "process" each in a process of its own, the
        only one that survives every crash.
      **kwargs: `timeout`, the seconds within which an environment must answer (60, not with "sync");
        `max_restarts`, how often one that fails is made again (10); and, with a name, what
        `gymnasium.make` takes.

    Raises:
      ValueError: for an unknown name or backend, a package that is missing, an environment that cannot be
        made, a space that is not supported, or arguments that do not fit the source.
    """
    if isinstance(source, str):
        fleet, arguments = _split(kwargs)
        spec = registry.gymnasium_spec(source)
        factory = functools.partial(gymnasium.make, spec, **{"disable_env_checker": True, **arguments})
        return SubEnvs(f"gymnasium:{source}", [factory] * _count(num_envs), backend, **fleet)
    if isinstance(source, gymnasium.vector.VectorEnv):
        from rl_fn.envs.host.vector import VectorHostEnv

        if kwargs or num_envs not in (None, source.num_envs):
            given = [*kwargs, *(["num_envs"] if num_envs is not None else [])]
            raise ValueError(f"a VectorEnv of {source.num_envs} takes no other num_envs or options, given {given}")
        return VectorHostEnv(source)
    # A class is a function that makes its instances.
    if isinstance(source, Sequence) or (hasattr(source, "step") and not isinstance(source, type)):
        objects = list(source) if isinstance(source, Sequence) else [source]
        if num_envs not in (None, len(objects)) or not objects:
            raise ValueError(f"{len(objects)} environments were handed over, num_envs is {num_envs}")
        factories = [functools.partial(worker.existing, env) for env in objects]
        return SubEnvs(_name_of(objects[0]), factories, backend, **kwargs)
    if callable(source):
        return SubEnvs(getattr(source, "__name__", "environment"), [source] * _count(num_envs), backend, **kwargs)
    raise ValueError(
        f"cannot make an environment of {source!r}: expected a name, an environment, a list of them, a "
        "gymnasium.vector.VectorEnv, or a function that makes one"
    )


def gym_env(name: str, num_envs: int | None = None, backend: Backend = "sync", **kwargs: Any) -> HostEnv:
    """Makes a host environment of Gym 0.26 by its name; see `gymnasium_env`.

    Raises:
      ValueError: for an unknown name, and as `gymnasium_env`.
    """
    fleet, arguments = _split(kwargs)
    registry.check_gym_name(name)
    # Gym's checker of environments uses names that NumPy 2 no longer has.
    factory = functools.partial(worker.make_gym, name, {"disable_env_checker": True, **arguments})
    return SubEnvs(f"gym:{name}", [factory] * _count(num_envs), backend, **fleet)


class SubEnvs:
    """A batch of single environments, each with a worker; one that fails is made again.

    Where a step fails, the episode is closed as truncated with a reward of 0 and with the last good
    observation as its successor, and a new environment takes the place.

    Args:
      name: of the environment, for its specification and for messages.
      factories: each makes one environment.
      backend: a key of BACKENDS.
      timeout: the seconds within which an environment must answer; making one may take a minute.
      max_restarts: how often each environment is made again.

    Raises:
      ValueError: as `gymnasium_env`.
    """

    def __init__(
        self,
        name: str,
        factories: Sequence[Callable[[], Any]],
        backend: Backend = "sync",
        timeout: float = 60.0,
        max_restarts: int = 10,
    ):
        if backend not in BACKENDS:
            raise ValueError(f"backend is {backend!r}, expected one of {', '.join(BACKENDS)}")
        if not (isinstance(timeout, float | int) and timeout > 0):
            raise ValueError(f"timeout is {timeout}, expected a number of seconds greater than 0")
        if not (isinstance(max_restarts, int) and max_restarts >= 0):
            raise ValueError(f"max_restarts is {max_restarts}, expected an integer at least 0")
        self.num_envs = len(factories)
        self._name, self._factories, self._timeout, self._max_restarts = name, factories, timeout, max_restarts
        self._start = BACKENDS[backend]
        self._workers = [self._start(factory) for factory in factories]
        self._restarts = [0] * self.num_envs
        self._seed = 0
        self._observation: Nest = None  # the newest
        try:
            described = self._describe()
            self._batch = host_spaces.batch(described.observation_space)
            self._decode = host_spaces.decode(described.action_space)
        except (ValueError, WorkerError) as error:
            for one in self._workers:
                one.kill()
            reason = str(error).strip().splitlines()[-1]
            raise ValueError(f"{name} cannot be made: {reason}") from error
        self._discrete = isinstance(described.action_space, gymnasium.spaces.Discrete)
        self.spec = host_spec(name, described)

    def reset(self, seed: int) -> Nest:
        """See HostEnv."""
        self._seed = seed
        for index, one in enumerate(self._workers):
            one.submit("reset", self._seed_of(index))
        firsts = []
        for index, one in enumerate(self._workers):
            try:
                firsts.append(one.result(self._timeout))
            except WorkerError as failure:
                firsts.append(self._restart(index, failure))
        self._observation = self._batch(firsts)
        return self._observation

    def step(self, actions: np.ndarray) -> EnvStep:
        """See HostEnv."""
        decoded = self._decode(actions)
        for one, action in zip(self._workers, decoded.tolist() if self._discrete else decoded, strict=True):
            one.submit("step", action)
        outcomes, failed = [], []
        for index, one in enumerate(self._workers):
            try:
                outcomes.append(one.result(self._timeout))
            except WorkerError as failure:
                first = self._restart(index, failure)
                outcomes.append(Outcome(first, 0.0, False, True, first))
                failed.append(index)
        successors, rewards, terminated, truncated, firsts = zip(*outcomes, strict=True)
        next_observation = self._batch(successors)
        if failed:
            tf.nest.map_structure(lambda to, last: _copy_rows(to, last, failed), next_observation, self._observation)
        ended = any(terminated) or any(truncated)
        if ended:
            pairs = zip(successors, firsts, strict=True)
            self._observation = self._batch([after if first is None else first for after, first in pairs])
        else:
            self._observation = next_observation
        return EnvStep(
            observation=self._observation,
            reward=np.array(rewards, np.float32),
            terminated=np.array(terminated),
            truncated=np.array(truncated),
            next_observation=next_observation,
        )

    def render(self) -> np.ndarray:
        """See HostEnv."""
        self._workers[0].submit("render")
        try:
            return np.asarray(self._workers[0].result(self._timeout), np.uint8)
        except WorkerError as failure:
            reason = str(failure).strip().splitlines()[-1]
            raise ValueError(f"{self._name} gives no picture: {reason}") from failure

    def close(self) -> None:
        """See HostEnv."""
        for one in self._workers:
            one.close()
        self._workers = []

    def _describe(self) -> Description:
        # All are made here, side by side, so that none fails later for what was wrong from the start.
        for one in self._workers:
            one.submit("describe")
        described = [one.result(max(self._timeout, _START_SECONDS)) for one in self._workers]
        for other in described[1:]:
            if other[:2] != described[0][:2]:
                raise ValueError(f"the environments differ in their spaces: {described[0][:2]} and {other[:2]}")
        return described[0]

    def _seed_of(self, index: int) -> int:
        entropy = [self._seed, index, self._restarts[index]]
        return int(np.random.SeedSequence(entropy).generate_state(1)[0] >> 1)  # libraries expect 31 bits

    def _restart(self, index: int, failure: WorkerError) -> Any:
        """Makes an environment again and returns its first observation."""
        while True:
            if self._restarts[index] == self._max_restarts:
                raise RuntimeError(
                    f"environment {index} of {self._name} failed once more after {self._max_restarts} restarts:\n"
                    f"{failure}"
                ) from None
            self._restarts[index] += 1
            _LOG.error(
                "environment %d of %s failed and is made again, %d of at most %d times:\n%s",
                index,
                self._name,
                self._restarts[index],
                self._max_restarts,
                failure,
            )
            self._workers[index].kill()
            self._workers[index] = self._start(self._factories[index])
            self._workers[index].submit("reset", self._seed_of(index))
            try:
                return self._workers[index].result(max(self._timeout, _START_SECONDS))
            except WorkerError as again:
                failure = again


def host_spec(name: str, described: Description) -> EnvSpec:
    """The specification of a host environment, as agents see it."""
    return EnvSpec(
        name,
        host_spaces.from_zero(described.observation_space),
        host_spaces.from_zero(described.action_space),
        described.max_episode_steps,
        described.reward_threshold,
        described.render_fps,
    )


def _copy_rows(to: np.ndarray, source: np.ndarray, rows: list[int]) -> None:
    to[rows] = source[rows]


def _name_of(env: Any) -> str:
    spec = getattr(env, "spec", None)
    return getattr(spec, "id", None) or type(getattr(env, "unwrapped", env)).__name__


def _count(num_envs: int | None) -> int:
    if num_envs is not None and num_envs < 1:
        raise ValueError(f"num_envs is {num_envs}, expected an integer at least 1")
    return num_envs or 1


def _split(kwargs: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Parts the options of SubEnvs from those of the environment."""
    names = ("timeout", "max_restarts")
    ours = {name: value for name, value in kwargs.items() if name in names}
    return ours, {name: value for name, value in kwargs.items() if name not in names}
