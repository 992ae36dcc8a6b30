"""What a run keeps in its folder, but for what its reporters write: config.json, checkpoints, summaries, and a lock."""

from __future__ import annotations

import contextlib
import math
import os
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from pathlib import Path
from typing import Any

from rl_fn.runs import checkpoint, config, files, folder, stores
from rl_fn.runs.checkpoint import Checkpoint
from rl_fn.runs.errors import RunError, reason
from rl_fn.runs.lock import Lock
from rl_fn.runs.pauses import Pauses
from rl_fn.struct import Nest

CHECKPOINT_SECONDS = 20.0  # between two, unless it is said how many or writing one is slow


class Storage:
    """The folders of a run's copies. Only who has the lock writes to them.

    Args:
      output_dir: of the run, on this machine or on an object store.
      contents: what config.json of each copy is to hold.
      steps: environment steps of an iteration.
      checkpoint_seconds: between two checkpoints; None for `CHECKPOINT_SECONDS`, or more where writing takes too long.

    Raises:
      ValueError: if the folder holds another run, or what it holds cannot be read.
      OSError: if the object store cannot be read.
    """

    def __init__(
        self,
        output_dir: Path,
        contents: Sequence[dict[str, Any]],
        steps: int,
        checkpoint_seconds: float | None = None,
    ):
        self._mirror = stores.Mirror(output_dir) if isinstance(output_dir, stores.Address) else None
        self.output_dir = self._mirror.folder if self._mirror else output_dir  # where it writes
        self._contents, self._steps = contents, steps
        self.folders = [self.output_dir / f"run_{copy}" for copy in range(len(contents))]
        self.checkpoints = [one / folder.CHECKPOINTS for one in self.folders]
        with self._named():
            self.notes = list(folder.check(self.output_dir, contents))  # sentences that people should be told
        self.saved = 0  # the iteration of the newest checkpoints
        self._lock: Lock | None = None
        self._thread = ThreadPoolExecutor(1)  # what is saved beside the training is written in
        self._saving: list[Future[None]] = []
        self._is_known = False  # what is in the folder
        self._written: list[Path] = []  # by reporters
        self._is_behind = False  # whether a store could not be written the last time
        self._seconds, self._saved_at = checkpoint_seconds, time.monotonic()
        is_given = checkpoint_seconds is not None
        self._pauses = Pauses("checkpoints", "checkpoint_seconds", is_given, self.notes, compiles=False)

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Keeps other runs out.

        Raises:
          ValueError: if another run is in there, or has left something that is not this run's.
          RunError: if this run was in there before, and another is, or has gone on with it since; at the end, if what
            was written cannot be copied to a store.
          OSError: if the folder cannot be made.
        """
        if self._mirror:
            self._mirror.claim()
        files.make_folder(self.output_dir)
        try:
            self._lock = Lock(self.output_dir)
        except ValueError as error:
            if self._is_known:
                raise RunError(str(error)) from None
            raise
        try:
            list(folder.check(self.output_dir, self._contents))
            if self._is_known and self.saved != max(checkpoint.list_complete(self.checkpoints), default=0):
                raise RunError(f"another run has gone on in {self.output_dir} since this one left it")
            if self._lock.note and not self._is_known:
                self.notes.append(self._lock.note)
            self._is_known = True
            try:
                yield
                self.settle()
            except BaseException:
                wait(self._saving)
                with contextlib.suppress(RunError):  # what has failed before is what people should be told
                    self._push(is_last=True)
                raise
            self._push(is_last=True)
        finally:
            wait(self._saving)
            if self._lock:
                self._lock.release()
            self._lock, self._written = None, []

    def prepare(self) -> None:
        """Makes the folders, and writes config.json where a copy has not begun.

        Raises:
          OSError: if a folder cannot be made or written.
          RunError: if a file cannot be written in it.
        """
        for one in self.folders:
            files.make_folder(one)
            if not os.access(one, os.W_OK):
                raise PermissionError(f"folder {one} cannot be written")
        with _told("cannot be written"):
            self._write_configs()
        if self._mirror:
            self._mirror.push()  # what cannot be written is told before anything is trained

    def restore(
        self, likes: Sequence[Nest], read: Callable[[Checkpoint], Any]
    ) -> tuple[int, list[Nest], list[Any]] | None:
        """Takes up the newest good checkpoints; notes say which were passed over.

        Args:
          likes: a state of each copy.
          read: called with each checkpoint; what it cannot use is passed over, too.

        Returns:
          The iteration, the states and what `read` returned; None where there are no checkpoints.

        Raises:
          ValueError: if there are checkpoints, and none is good in all copies.
          RunError: if the folders cannot be read.
        """
        results: dict[int, Any] = {}

        def load(copy: int, path: Path) -> Checkpoint:
            loaded = checkpoint.load(path, likes[copy])
            folder.check_identity(path, loaded.metadata.get("run"), self._contents[copy])
            try:
                results[copy] = read(loaded)
            except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
                raise ValueError(f"checkpoint {path} cannot be used: {type(error).__name__} {error}") from None
            return loaded

        with _told("cannot be read"), self._named():
            if self._lock:
                checkpoint.finish(self.checkpoints)
            newest = checkpoint.load_newest(self.checkpoints, load)
            if newest is None:
                return None
            loaded, passed_over = newest
            self.saved = loaded[0].iteration
            if self._lock:
                checkpoint.set_aside(self.checkpoints, self.saved)
        self.notes += [f"passed over: {sentence}" for sentence in passed_over]
        states = [checkpoint.restore(one, like) for one, like in zip(loaded, likes, strict=True)]
        return self.saved, states, [results[copy] for copy in range(len(likes))]

    def is_due(self, train_seconds: float) -> bool:
        """Whether the newest checkpoint is old, and there is time for another."""
        age = time.monotonic() - self._saved_at
        if self._seconds is not None:
            return age >= self._seconds
        is_saving = any(not saving.done() for saving in self._saving)
        return age >= CHECKPOINT_SECONDS and not is_saving and self._pauses.allows(train_seconds)

    def save(self, iteration: int, states: Sequence[Nest], told: dict[str, Any]) -> None:
        """Writes checkpoints of all copies; `told` is read again by who restores them.

        Raises:
          RunError: if they cannot be written; and also where files of the run were deleted since it began, once
            everything that is known is there again. Also what was to be written beside may be told so.
        """
        self.settle()
        self._write(iteration, states, told)
        self._saved_at = time.monotonic()

    def save_beside(self, iteration: int, states: Sequence[Nest], told: dict[str, Any]) -> None:
        """Does as `save` in a thread: nobody may write into the states any more, and `settle` raises what it raises."""
        self.settle()
        self._saving.append(self._thread.submit(self._write, iteration, states, told))
        self._saved_at = time.monotonic()

    def settle(self, patient: bool = True) -> None:
        """Waits until everything is written.

        Args:
          patient: or else does not wait, but only looks.

        Raises:
          RunError: as `save`, for what has failed since the last call.
        """
        while self._saving and (patient or self._saving[0].done()):
            self._saving.pop(0).result()

    def _write(self, iteration: int, states: Sequence[Nest], told: dict[str, Any]) -> None:
        with self._pauses.timed():
            self._save(iteration, states, told)

    def _save(self, iteration: int, states: Sequence[Nest], told: dict[str, Any]) -> None:
        metadata = [{**told, "run": folder.identity(content)} for content in self._contents]
        lost = self.lost()
        try:
            if lost:
                self._put_back()
            checkpoint.save_copies(self.checkpoints, iteration, states, metadata)
        except OSError as error:
            if not lost and self.lost():
                return self._save(iteration, states, told)
            at = f"the newest is at {self.saved * self._steps:,} steps" if self.saved else "there is none yet"
            raise RunError(
                f"the checkpoint at {iteration * self._steps:,} steps cannot be written to {self.output_dir}: "
                f"{reason(error)}; {at}"
            ) from error
        self.saved = iteration
        self._push(is_last=False)
        if lost:
            raise RunError(
                f"{lost} was deleted while the run went on: the state at {iteration * self._steps:,} steps is saved "
                "again, the rest of it is lost"
            )
        return None

    def lost(self) -> Path | None:
        """What was deleted by somebody else since the run began; None if nothing was."""
        if not self._written:
            self._written = [path for one in self.folders for name in folder.CURVES for path in one.glob(name)]
        configs = [one / config.FILE for one in self.folders]
        for path in [self.output_dir, *self.folders, *configs, *self.checkpoints, *self._written]:
            if not os.path.lexists(path):
                return path
        return None if self._lock is None or self._lock.is_there() else self._lock.path

    def save_best(self, iteration: int, copy: int, policy: Nest, eval_return_mean: float, beside: bool) -> None:
        """Writes the policy that has been evaluated best so far, in place of the best before.

        Args:
          iteration: of the policy.
          copy: whose it is.
          policy: arrays; where they are written `beside`, nobody may write into them any more.
          eval_return_mean: what it came to.
          beside: whether it is written in a thread, and `settle` raises what that raises.

        Raises:
          RunError: if it cannot be written.
        """
        self._saving.append(self._thread.submit(self._save_best, iteration, copy, policy, eval_return_mean))
        if not beside:
            self.settle()

    def _save_best(self, iteration: int, copy: int, policy: Nest, eval_return_mean: float) -> None:
        where = self.folders[copy] / folder.BEST
        told = {"eval_return_mean": eval_return_mean, "run": folder.identity(self._contents[copy])}
        with _told("cannot be written"):
            checkpoint.save(where, iteration, {"policy": policy}, told)
            checkpoint.keep_newest(where, keep=1)

    def best(self) -> list[float]:
        """The mean returns of the policies that `save_best` wrote, -inf where there is none that can be used."""
        return [self._best(copy) for copy in range(len(self.folders))]

    def _best(self, copy: int) -> float:
        where = self.folders[copy] / folder.BEST
        try:
            saved = checkpoint.load(checkpoint.path_of(where, max(checkpoint.list_iterations(where))), part="nothing")
            folder.check_identity(where, saved.metadata.get("run"), self._contents[copy])
            return float(saved.metadata["eval_return_mean"])
        except (OSError, ValueError, KeyError, TypeError):
            return -math.inf

    def summaries(self, check: Callable[[dict[str, Any], int], None], env_steps: int) -> list[dict[str, Any]] | None:
        """The summaries of a run that has come to its end, which it has not where it is made longer.

        Args:
          check: called with a summary and the number of its copy; raises ValueError, without the path.
          env_steps: at the end.

        Raises:
          ValueError: if one is damaged.
        """
        paths = [one / folder.SUMMARY for one in self.folders]
        if not all(path.exists() for path in paths):
            return None
        summaries = [files.read_json(path) for path in paths]
        for copy, (path, summary) in enumerate(zip(paths, summaries, strict=True)):
            try:
                check(summary, copy)
            except ValueError as error:
                raise ValueError(f"{path} cannot be used: {error}") from None
        return summaries if all(summary["env_steps"] == env_steps for summary in summaries) else None

    def summarize(self, summaries: Sequence[dict[str, Any]]) -> None:
        """Writes what the run has come to.

        Raises:
          RunError: if it cannot be written.
        """
        with _told("cannot be written"):
            for one, summary in zip(self.folders, summaries, strict=True):
                folder.write_json(one / folder.SUMMARY, summary)

    def _named(self) -> contextlib.AbstractContextManager[None]:
        """Makes errors name the folder as people know it."""
        return self._mirror.named() if self._mirror else contextlib.nullcontext()

    def _push(self, is_last: bool) -> None:
        """Copies what was written to a store; where it does not answer, that is tried again later but for the last."""
        is_asked_always = self._contents[0].get("checkpoint_seconds") == 0
        if not self._mirror or not (is_last or is_asked_always or self._mirror.is_due()):
            return
        try:
            self._mirror.push()
            self._is_behind = False
        except OSError as error:
            why = f"{self._mirror.address} cannot be written: {reason(error)}"
            if is_last:
                self._mirror.keep()
                raise RunError(f"{why}; what the run has written is in {self.output_dir}") from error
            if not self._is_behind:
                self.notes.append(f"{why}; the run goes on, and this is tried again at each checkpoint")
            self._is_behind = True

    def _put_back(self) -> None:
        """Makes folders, config.json and lock again where they are not there any more."""
        files.make_folder(self.output_dir)
        if self._lock and not self._lock.is_there():
            self._lock.release()
            self._lock = None
            try:
                self._lock = Lock(self.output_dir)
            except ValueError as error:
                raise RunError(f"{self.output_dir} was deleted while the run went on, and {error}") from None
        self._write_configs()
        self._written = []

    def _write_configs(self) -> None:
        for one, checkpoints, content in zip(self.folders, self.checkpoints, self._contents, strict=True):
            files.make_folder(checkpoints)
            files.remove_unfinished(one)
            files.remove_unfinished(checkpoints)
            path = one / config.FILE
            if folder.has_begun(one) and path.exists():
                begun = files.read_json(path)
                content = {**content, "versions": begun.get("versions")}  # what the run was begun with
                if begun == content:
                    continue
            folder.write_json(path, content)


@contextlib.contextmanager
def _told(what: str) -> Iterator[None]:
    """Makes an OSError one sentence on the file that it is about."""
    try:
        yield
    except OSError as error:
        raise RunError(f"{error.filename or 'a file of the run'} {what}: {reason(error)}") from error
