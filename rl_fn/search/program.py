"""Settings side by side in one compiled program, each copy with its own; see `rl_fn.search.tunable`."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from rl_fn import loops, random, struct
from rl_fn._src.loops.chunks import never
from rl_fn._src.xla.calls import graph
from rl_fn.envs.base import Env
from rl_fn.search.tunable import Make, Settings, tunable
from rl_fn.struct import Nest

_CHUNK_SECONDS = 1.0  # between two looks at whether to stop
EVALUATION = 1  # folded into a copy's key


class Placed(NamedTuple):
    """What a copy trains."""

    settings: Mapping[str, float]
    seed: int


class Program:
    """Copies of a run that differ in their settings, compiled once: settings are a part of the state.

    Args:
      make: makes the agent for settings; its schedule and shapes are those of every copy.
      env: the environment.
      names: of the settings.
      copies: how many.
      eval_episodes: whole episodes of each copy in an evaluation.
    """

    def __init__(self, make: Make, env: Env, names: list[str], copies: int, eval_episodes: int):
        self._make, self._env, self._names, self.copies = make, env, names, copies
        self._placed: list[Placed | None] = [None] * copies
        self._compiled: loops.Compiled | loops.Shares | None = None
        self._init = graph(self._initial)
        self._episodes = eval_episodes
        self._play: Any = None

    @property
    def trace_count(self) -> int:
        """How often the training step was traced: once, whatever is trained."""
        return self._compiled.trace_count if self._compiled else 0

    def place(self, placed: Mapping[int, Placed]) -> None:
        """Begins anew in some copies; the others go on. In the first call those without a place repeat one that has."""
        if self._compiled is None:
            first = next(iter(placed.values()))
            self._placed = [placed.get(copy, first) for copy in range(self.copies)]
            states = struct.stack([self._state(self._of(copy)) for copy in range(self.copies)])
            self._play = self._player()
            step = loops.train_step(tunable(self._make, tensors(self._names, first)), self._env)
            self._compiled = loops.compile_copies(step, states)
            self._compile(self._compiled)
            return
        for copy, one in placed.items():
            self._placed[copy] = one
            self._compiled.put(copy, self._state(one))

    def train(self, copies: Sequence[int], iterations: int, stop: loops.Stop = never) -> np.ndarray:
        """Trains all copies for so many iterations, and plays whole episodes with each.

        Returns:
          The returns of some copies, `[copies, episodes]`.

        Raises:
          Stopped: where `stop` says true.
        """
        if not self.advance(iterations, stop):
            raise loops.Stopped("training was told to stop")
        return self.returns(stop)[list(copies)]

    def close(self) -> None:
        """Nothing has to be let go of."""

    def advance(self, iterations: int, stop: loops.Stop = never) -> bool:
        """Trains all copies for so many iterations; returns whether it came to their end before `stop` said true."""
        assert self._compiled is not None, "nothing was placed"
        size = 1
        while iterations and not stop():
            size = min(size, iterations)
            begin = time.perf_counter()
            self._compiled.run(size)
            iterations -= size
            seconds = max(time.perf_counter() - begin, 1e-9)
            size = max(1, min(int(size * _CHUNK_SECONDS / seconds), 64 * size))
        return not iterations

    def returns(self, stop: loops.Stop = never) -> np.ndarray:
        """Plays whole episodes with each copy, without exploration.

        Returns:
          The returns, `[copies, episodes]`.

        Raises:
          Stopped: where `stop` says true.
        """
        assert self._compiled is not None, "nothing was placed"
        keys = [random.fold_in(random.key(self._of(copy).seed), EVALUATION) for copy in range(self.copies)]
        return self._play(self._compiled.read(lambda state: state.agent.policy), tf.stack(keys), stop).returns

    def _of(self, copy: int) -> Placed:
        placed = self._placed[copy]
        assert placed is not None
        return placed

    def _compile(self, compiled: loops.Compiled | loops.Shares) -> None:
        """Compiles training and evaluation before any of it is timed."""
        compiled.run(0)
        only_once = iter([False])
        with suppress(loops.Stopped):
            self.returns(lambda: next(only_once, True))

    def _player(self) -> Any:
        agent = tunable(self._make, tensors(self._names, self._of(0)))
        return loops.evaluate(agent, self._env, self._episodes, copies=True)

    def _state(self, placed: Placed) -> Nest:
        return self._init(tensors(self._names, placed), random.key(placed.seed))

    def _initial(self, settings: Settings, key: random.Key) -> Nest:
        return loops.init_state(tunable(self._make, settings), self._env, key)


def tensors(names: Sequence[str], placed: Placed) -> Settings:
    """The settings of these names, as an agent's state holds them."""
    return {name: tf.constant(placed.settings[name], tf.float32) for name in names}
