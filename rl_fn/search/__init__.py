"""Search for hyper-parameters: studies whose trials are copies in one compiled program, and populations.

    study = rl.search.Study(rl.search.SearchConfig("dqn_cartpole", "runs/search", trials=40))
    for progress in study.run():
        print(progress.finished, progress.best)

`tunable` makes an agent whose hyper-parameters are part of its state, `population_step` is population-based training
as a pure function over copies of it. Studies need the extra `search`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rl_fn._src import lazy
from rl_fn.search.config import SearchConfig

if TYPE_CHECKING:
    from rl_fn.search.best import judge, write
    from rl_fn.search.evolution import Evolution
    from rl_fn.search.population import Generation, Population, init_population, population_step
    from rl_fn.search.program import Placed, Program
    from rl_fn.search.study import Progress, Study, Trial
    from rl_fn.search.tunable import Tuned, tunable

_HOMES = {
    **dict.fromkeys(("judge", "write"), "best"),
    "Evolution": "evolution",
    **dict.fromkeys(("Generation", "Population", "init_population", "population_step"), "population"),
    **dict.fromkeys(("Placed", "Program"), "program"),
    **dict.fromkeys(("Progress", "Study", "Trial"), "study"),
    **dict.fromkeys(("Tuned", "tunable"), "tunable"),
}

__all__ = [
    "Evolution",
    "Generation",
    "Placed",
    "Population",
    "Program",
    "Progress",
    "SearchConfig",
    "Study",
    "Trial",
    "Tuned",
    "init_population",
    "judge",
    "population_step",
    "tunable",
    "write",
]


if not TYPE_CHECKING:  # a type checker would take every name for one of these

    def __getattr__(name: str) -> Any:
        if name in _HOMES:
            return getattr(lazy.load(f"{__name__}.{_HOMES[name]}"), name)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
