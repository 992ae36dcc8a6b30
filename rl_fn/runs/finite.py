"""Where a run has come to infinity or NaN, in words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rl_fn import loops
from rl_fn.struct import Nest


def check_chunk(compiled: loops.Running, chunk: loops.Chunk, seeds: Sequence[int], where: str) -> None:
    """Checks that the metrics of a chunk and the agent's state after it are finite.

    Args:
      compiled: with the state.
      chunk: the newest.
      seeds: of the copies.
      where: after which step it is, and what is saved.

    Raises:
      NonFiniteError: if they are not, with the names of what is not.
    """
    metrics = [(f"metric {name}", copy) for name, copy in chunk.nonfinite]
    copies = len(seeds) if len(seeds) > 1 else None
    leaves = compiled.nonfinite(lambda state: state.agent, copies)
    if lost := metrics + [(f"{name} of the agent's state", copy) for name, copy in leaves]:
        # Where an environment is part of the program, it may be what began it, so it is named first.
        seen = [(f"{name} of the environment", copy) for name, copy in compiled.nonfinite(_of_environments, copies)]
        raise loops.NonFiniteError(f"{_named(seen + lost, seeds)} no longer finite {where}")


def check_states(states: Sequence[Any], seeds: Sequence[int], where: str) -> None:
    """Checks that the states of copies are finite; raises NonFiniteError if not."""
    agents: list[Nest] = [state.agent for state in states]
    if lost := [(name, copy) for copy, agent in enumerate(agents) for name, _ in loops.nonfinite(agent)]:
        raise loops.NonFiniteError(f"{_named(lost, seeds)} not finite {where}")


def _of_environments(state: Any) -> Nest:
    """What compiled environments say, in a state of training; nothing of those that are stepped on the host."""
    actors = getattr(state, "actors", None)
    return {"return": actors.episode_return, "observation": actors.observation} if actors is not None else {}


def _named(lost: Sequence[tuple[str, int]], seeds: Sequence[int]) -> str:
    """The first of what is not finite, with a verb."""
    first = [f"{name} of seed {seeds[copy]}" if len(seeds) > 1 else name for name, copy in lost[:3]]
    more = f" and {len(lost) - 3} more" if len(lost) > 3 else ""
    return f"{', '.join(first)}{more} {'is' if len(lost) == 1 else 'are'}"
