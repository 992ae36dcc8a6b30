"""Trials trained by processes of Ray, while this one asks and tells the study."""

from __future__ import annotations

import dataclasses
import queue
import threading
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from typing import Any, TypeVar

from rl_fn import loops
from rl_fn.runs import cluster, memory
from rl_fn.runs.errors import RunError, one_line
from rl_fn.search.config import SearchConfig
from rl_fn.search.plan import Statics
from rl_fn.search.program import Placed
from rl_fn.search.trainee import Answer, Trainee
from rl_fn.search.trainer import Refused, Trained, TrainerLost

_LOOK_SECONDS = 0.5  # between two looks at whether to stop
_MOST_DEATHS = 3  # of a worker in a row, before it has trained anything

Item = TypeVar("Item")


class RayTrainer:
    """A process of Ray that trains. Where it ends, the next trials begin another in its place.

    Args:
      ray: the module, connected.
      number: of the worker, for what is told of it.
      settings: of the search, by name.
    """

    def __init__(self, ray: Any, number: int, settings: Mapping[str, Any]):
        self._ray, self._number, self._settings = ray, number, settings
        self._make = ray.remote(num_cpus=1, scheduling_strategy="SPREAD")(Trainee)
        self._deaths = 0
        self.handle: Any = None

    def train(
        self, statics: Statics, placed: Mapping[int, Placed], anew: Collection[int], parts: int, stop: loops.Stop
    ) -> Trained | None:
        """See Trainer."""
        self.handle = self.handle or self._make.remote(self._settings)
        coming = self.handle.train.remote(statics, dict(placed), list(anew), parts)
        try:
            while not self._ray.wait([coming], timeout=_LOOK_SECONDS)[0]:
                if stop():
                    self.close()
                    return None
            answer: Answer = self._ray.get(coming)
        except self._ray.exceptions.RayError as error:
            self.close()
            self._deaths += 1
            if self._deaths == _MOST_DEATHS:
                told = f"worker {self._number} ended {_MOST_DEATHS} times before it had trained anything"
                raise RunError(f"{told}: {one_line(error)}") from error
            raise TrainerLost(f"worker {self._number} has ended") from error
        if answer.refused is not None:
            raise Refused(answer.refused)
        if answer.failed is not None:
            raise RunError(f"worker {self._number} failed: {answer.failed}")
        self._deaths = 0
        return answer.trained

    def close(self) -> None:
        """See Trainer."""
        if self.handle is not None:
            with suppress(Exception):  # it has gone
                self._ray.kill(self.handle, no_restart=True)
        self.handle = None


@contextmanager
def crew(config: SearchConfig) -> Iterator[list[RayTrainer]]:
    """The workers of a search, in a Ray that is joined, or started for them.

    Raises:
      RunError: if the cluster cannot be reached, or Ray cannot be started.
    """
    settings = {item.name: getattr(config, item.name) for item in dataclasses.fields(config)}
    with cluster.connected(config.num_workers, config.ray_address, memory.available()) as ray, ExitStack() as stack:
        trainers = [RayTrainer(ray, number, settings) for number in range(config.num_workers)]
        for trainer in trainers:
            stack.callback(trainer.close)
        yield trainers


def together(parts: Sequence[Callable[[loops.Stop], Iterator[Item]]], stop: loops.Stop) -> Iterator[Item]:
    """What several iterators yield, as it comes, each of them in a thread of its own; one alone needs none.

    Args:
      parts: each makes an iterator, from what says whether it is to end.
      stop: where it says true, all end.

    Raises:
      Exception: what one of them raises, when the others have ended.
    """
    if len(parts) == 1:
        yield from parts[0](stop)
        return
    found: queue.SimpleQueue[tuple[str, Any]] = queue.SimpleQueue()
    ending = threading.Event()

    def work(part: Callable[[loops.Stop], Iterator[Item]]) -> None:
        try:
            for item in part(lambda: ending.is_set() or stop()):
                found.put(("item", item))
        except Exception as error:
            found.put(("error", error))
        found.put(("end", None))

    threads = [threading.Thread(target=work, args=[part], name="rl_fn-search") for part in parts]
    for thread in threads:
        thread.start()
    errors, left = [], len(threads)
    try:
        while left:
            kind, item = found.get()
            if kind == "item":
                yield item
            elif kind == "error":
                errors.append(item)
                ending.set()
            else:
                left -= 1
    finally:
        ending.set()
        for thread in threads:
            thread.join()
    if errors:
        raise errors[0]
