"""Settings one after the other, in environments that are stepped on the host: one program trains them all."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from rl_fn import loops, random
from rl_fn._src.loops.chunks import never
from rl_fn._src.loops.host_actors import env_seed, iteration_keys
from rl_fn._src.xla.calls import graph
from rl_fn.agents.base import Agent
from rl_fn.envs import registry
from rl_fn.envs.host.base import HostEnv, close_and_tell
from rl_fn.envs.host.failures import EnvFailed
from rl_fn.runs.host import Host
from rl_fn.search.program import EVALUATION, Placed, tensors
from rl_fn.search.tunable import Make, Settings, tunable
from rl_fn.struct import Nest


class _Copy(NamedTuple):
    placed: Placed
    done: int = 0  # iterations
    state: Nest = None  # where it goes on from here


class HostProgram:
    """Runs that differ in their settings, each in its turn; acting and learning are compiled once.

    Between its parts a run's environments begin new episodes, as those of a run that is resumed do.

    Args:
      make: makes the agent for settings; its schedule and shapes are those of every run.
      make_env: makes so many environments.
      names: of the settings.
      eval_episodes: whole episodes of each run in an evaluation.
      iterations: of a whole run, after which its state is not kept.
    """

    def __init__(
        self, make: Make, make_env: Callable[[int], Any], names: list[str], eval_episodes: int, iterations: int
    ):
        self._make, self._names, self._whole = make, names, iterations
        self._make_env, self._episodes = make_env, eval_episodes
        self._copies: dict[int, _Copy] = {}
        self._init = graph(self._initial)
        self._compiled: loops.Compiled | None = None
        self._env: HostEnv | None = None
        self._agent: Agent
        self._runner: Host
        self._learner: loops.Learner
        self._cut: Callable[[], None]

    @property
    def trace_count(self) -> int:
        """How often the update was traced: once, whatever is trained."""
        return self._compiled.trace_count if self._compiled else 0

    def place(self, placed: Mapping[int, Placed]) -> None:
        """Says what runs of some numbers are; they begin with their next part."""
        self._copies |= {copy: _Copy(one) for copy, one in placed.items()}
        if self._compiled is None:
            self._compile(next(iter(placed.values())))

    def train(self, copies: Sequence[int], iterations: int, stop: loops.Stop = never) -> np.ndarray:
        """Trains some runs for so many iterations, one after the other, and plays whole episodes with each.

        Returns:
          The returns, `[copies, episodes]`; NaN of a run in which something became infinite or NaN.

        Raises:
          Stopped: where `stop` says true.
          EnvFailed: if the environments cannot be gone on with.
        """
        return np.stack([self._trained(copy, iterations, stop) for copy in copies])

    def close(self) -> None:
        """Closes the environments."""
        if self._compiled is not None:
            self._learner.close()
            self._runner.close()
        if self._env is not None:
            close_and_tell(self._env.spec.name, self._env)
        self._compiled = self._env = None

    def _trained(self, copy: int, iterations: int, stop: loops.Stop) -> np.ndarray:
        assert self._compiled is not None, "nothing was placed"
        placed, done, state = self._copies[copy]
        end = done + iterations
        self._learner.drain()  # of a run that was stopped
        self._compiled.restore(self._state(placed) if state is None else state)
        if done:
            self._cut()
        self._learner.restart()
        try:
            self._act_and_learn(range(done, end), stop)
            policy = self._compiled.read(lambda state: state.agent.policy)
            key = random.fold_in(random.key(placed.seed), EVALUATION)
            returns = self._runner.evaluate(policy, [key], stop).returns
        except loops.NonFiniteError:
            returns = np.full([self._episodes], np.nan, np.float32)
        self._copies[copy] = _Copy(placed, end, self._compiled.read() if end < self._whole else None)
        return returns

    def _act_and_learn(self, iterations: range, stop: loops.Stop) -> None:
        assert self._compiled is not None
        assert self._env is not None
        key = self._compiled.read(lambda state: state.key)
        seed = env_seed(iteration_keys(key, tf.constant(iterations.start))[2])
        actors = loops.HostActors(self._agent, self._env, seed, stop)
        for iteration in iterations:
            self._learner.learn(actors.rollout(self._learner.acting(), iteration))
        self._learner.drain()

    def _compile(self, placed: Placed) -> None:
        """Makes the environments, and compiles acting and learning before any of it is timed."""
        state = self._state(placed)
        self._agent = agent = tunable(self._make, state.agent.settings)
        try:
            self._env = env = self._make_env(agent.schedule.num_envs)
        except ValueError as error:
            raise EnvFailed("environments to train in could not be made", str(error)) from error
        self._runner = Host(agent, env, lambda num_envs: registry.judged_like(env, num_envs), self._episodes)
        self._compiled = self._runner.compile(state)
        self._learner = loops.make_learner(agent, self._compiled)
        self._cut = self._compiled.replacer(lambda state: state._replace(agent=agent.cut(state.agent)))
        with suppress(loops.NonFiniteError):
            self._act_and_learn(range(1), never)

    def _state(self, placed: Placed) -> Nest:
        return self._init(tensors(self._names, placed), random.key(placed.seed))

    def _initial(self, settings: Settings, key: random.Key) -> Nest:
        return loops.init_host_state(tunable(self._make, settings), key)
