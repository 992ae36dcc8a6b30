"""What the trials of a study are, by its settings alone: the same in all its processes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

from rl_fn.envs.base import Env
from rl_fn.search import space
from rl_fn.search.config import SearchConfig
from rl_fn.search.tunable import Make

Statics: TypeAlias = tuple[tuple[str, Any], ...]  # names and values that make a program of their own
_SIDE_BY_SIDE = 8  # trials in a program, unless told


class Plan:
    """What is searched, where, and how many trials are trained at a time.

    Args:
      config: what is searched, and how.

    Raises:
      ValueError: for settings that cannot be.
    """

    def __init__(self, config: SearchConfig):
        run = config.run().resolved()
        self.config, self.run_config, self.hparams = config, run, run.make_hparams()
        self.space = space.parse(config.space, self.hparams, config.hparam_override)
        env: Any = run.make_env(1)  # of which there are more where trials are trained
        self.spec = env.spec
        self.env = env if isinstance(env, Env) else None  # where it is compiled
        if self.env is None:
            env.close()
        if self.env is None and (config.batch or 1) > 1:
            raise ValueError(f"batch is {config.batch}, expected 1: {self.spec.name} is stepped on the host")
        self._make_agent = run.make_agent
        self._make_agent(self.spec, self.hparams)
        self.grid = space.grid(self.space, config.grid_points) if config.method == "grid" else []
        self.trials = min(config.trials, len(self.grid)) if self.grid else config.trials
        batch = config.batch or (_SIDE_BY_SIDE if self.env else 1)
        self.batch = min(batch, self.trials)  # trials of a program at a time
        self.copies = self.batch * config.seeds  # of a program

    def statics(self, values: Mapping[str, Any]) -> Statics:
        """Of a trial's values, those that make a program of its own."""
        return tuple((one.name, values[one.name]) for one in space.static(self.space))

    def make(self, statics: Statics) -> Make:
        """Makes agents for the other values.

        Raises:
          ValueError: if there is no such agent.
        """
        hparams = self.hparams.override(**dict(statics))
        make: Make = lambda settings: self._make_agent(self.spec, hparams.override(**settings))
        make({})
        return make

    def iterations(self, statics: Statics) -> int:
        """Of a trial, from its beginning to its end."""
        return self.hparams.override(**dict(statics)).num_iterations
