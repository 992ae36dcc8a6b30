"""Some copies of a run as a program in a worker's process. TensorFlow is imported there, and not with this module."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from rl_fn._src.xla.startup import import_tensorflow
from rl_fn.runs.worker import ENVIRONMENT


class Answer(NamedTuple):
    """What a program answers. Arrays have a leading axis for its copies."""

    value: Any = None
    error: str = ""  # what went wrong: not every exception can travel


class Program:
    """Trains and evaluates some copies of a run. The first load makes everything.

    Args:
      config: of the run, as `RunConfig.to_json` tells it, resolved.
      count: how many copies.
    """

    def __init__(self, config: dict[str, Any], count: int):
        self._config, self._count = config, count
        self._local: Any = None
        self._compiled: Any = None

    def load(self, *leaves: np.ndarray) -> Answer:
        """Takes the state of its copies."""
        return _answer(lambda: self._load(leaves))

    def run(self, iterations: int) -> Answer:
        """Trains; the value: the sums of `Running.run`, and the leaves that are not finite with their copies."""
        return _answer(lambda: self._run(iterations))

    def read(self) -> Answer:
        """The value: the leaves of the state."""
        return _answer(lambda: self._apart([leaf.numpy() for leaf in self._flat(self._compiled.read())]))

    def evaluate(self, keys: np.ndarray, *policy: np.ndarray) -> Answer:
        """Plays with a policy; the value: the Evaluation, and a sample of the actions."""
        return _answer(lambda: self._evaluate(keys, policy))

    def is_there(self) -> bool:
        """Answers, also while it trains."""
        return True

    def pid(self) -> int:
        """The number of its process."""
        return os.getpid()

    def _load(self, leaves: tuple[np.ndarray, ...]) -> None:
        if self._local is None:
            self._make()
        state = self._packed(self._spec, leaves)
        if self._compiled is None:
            self._compiled = self._local.compile(state)
        else:
            self._compiled.restore(state)

    def _make(self) -> None:
        os.environ.update(ENVIRONMENT)
        import_tensorflow(compilation_cache=False)  # the flags of who started it are inherited where it is one machine
        from rl_fn import loops
        from rl_fn.runs import datasets
        from rl_fn.runs.config import RunConfig
        from rl_fn.runs.local import Local

        config = RunConfig(**self._config)
        env: Any = config.make_env(1)
        agent, config = datasets.make_agent(config, config.make_hparams(), env.spec)
        self._local = Local(agent, env, env, self._count, config.eval_episodes)
        self._spec: Any = loops.spec_of(self._local.init)

    def _run(self, iterations: int) -> tuple[Any, list[tuple[str, int]]]:
        import tensorflow as tf

        sums = self._compiled.run(iterations)
        lost = self._compiled.nonfinite(lambda state: state, self._count if self._count > 1 else None)
        return tf.nest.pack_sequence_as(sums, self._apart(tf.nest.flatten(sums))), lost

    def _evaluate(self, keys: np.ndarray, policy: tuple[np.ndarray, ...]) -> tuple[Any, Any]:
        import tensorflow as tf

        from rl_fn import loops

        packed = self._packed(self._spec.agent.policy, policy)
        evaluation = self._local.evaluate(packed, [tf.constant(key) for key in keys], lambda: False)
        (sample,) = self._apart([self._local.actions()])
        return loops.Evaluation(*self._apart(evaluation)), sample

    def _packed(self, structure: Any, leaves: tuple[np.ndarray, ...]) -> Any:
        """Tensors as the program has them: without an axis for the copies where there is one copy."""
        import tensorflow as tf

        own = [tf.constant(leaf if self._count > 1 else leaf[0]) for leaf in leaves]
        return tf.nest.pack_sequence_as(structure, own)

    def _apart(self, leaves: Any) -> list[np.ndarray]:
        """Arrays of the program with a leading axis for the copies, whether it has one or not."""
        return [leaf if self._count > 1 else np.asarray(leaf)[None] for leaf in leaves]

    def _flat(self, nest: Any) -> list[Any]:
        import tensorflow as tf

        return tf.nest.flatten(nest)


def _answer(call: Callable[[], Any]) -> Answer:
    try:
        return Answer(call())
    except Exception as error:
        return Answer(error=f"{type(error).__name__} {error}")
