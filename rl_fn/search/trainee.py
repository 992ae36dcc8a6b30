"""What trains trials in a process of its own. TensorFlow is imported there, and not with this module."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from rl_fn._src.xla.startup import import_tensorflow
from rl_fn.runs.worker import ENVIRONMENT

if TYPE_CHECKING:
    from rl_fn.search.plan import Statics
    from rl_fn.search.program import Placed
    from rl_fn.search.trainer import LocalTrainer, Trained


class Answer(NamedTuple):
    """What a process answers, since not every exception can travel."""

    trained: Trained | None = None
    refused: str | None = None  # why the agent cannot be made
    failed: str | None = None  # what ended it


class Trainee:
    """A `LocalTrainer` in its own process, made with the first trials.

    Args:
      settings: of the search, by name.
    """

    def __init__(self, settings: Mapping[str, Any]):
        os.environ.update(ENVIRONMENT)
        import_tensorflow(compilation_cache=False)  # the flags, which are inherited, say where there is one
        self._settings = settings
        self._trainer: LocalTrainer | None = None

    def train(self, statics: Statics, placed: Mapping[int, Placed], anew: Collection[int], parts: int) -> Answer:
        """See Trainer."""
        from rl_fn.search.config import SearchConfig
        from rl_fn.search.plan import Plan
        from rl_fn.search.trainer import LocalTrainer, Refused

        try:
            if self._trainer is None:
                self._trainer = LocalTrainer(Plan(SearchConfig(**self._settings)))
            return Answer(self._trainer.train(statics, placed, anew, parts, stop=lambda: False))
        except Refused as error:
            return Answer(refused=str(error))
        except Exception as error:
            return Answer(failed=f"{type(error).__name__}: {error}")
