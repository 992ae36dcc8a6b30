"""`rl-fn train`."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Annotated, Any

from rl_fn import sets
from rl_fn._src.xla.startup import import_tensorflow
from rl_fn.commands.exits import EXIT_INTERRUPTED, refusals, say
from rl_fn.commands.flags import flag, with_flags_of
from rl_fn.runs import RunConfig


@with_flags_of(RunConfig)
def train(
    *,
    flags: Any,
    compilation_cache: Annotated[bool, flag("Keep compiled programs in the user's cache folder.")] = True,
) -> None:
    """Train an agent. Started again on the same output folder, a run goes on from its newest checkpoint."""
    with refusals():
        if not flags.imports:
            sets.find(flags.hparams)  # a mistake is answered at once, where no module has to be imported before
        import_tensorflow(compilation_cache)
        config = RunConfig(**vars(flags))
        from rl_fn.runs import Run
        from rl_fn.runs.reporters import Progress

        run = Run.from_config(config)
    run.reporters.append(Progress())
    with run:
        with refusals(f"output_dir {config.output_dir}"):
            run.start()
        for note in run.notes:
            say(note)
        with _signals(run.stop):
            for _ in run:
                pass
    if run.summaries is None:
        say(f"stopped after {run.env_steps:,} steps; the same command goes on from there")
        raise SystemExit(EXIT_INTERRUPTED)
    for summary in run.summaries:
        print(_last_words(summary))


def _last_words(summary: dict[str, Any]) -> str:
    evaluation = "no evaluation"
    if summary["eval_episodes"]:
        evaluation = (
            f"evaluation return {summary['eval_return_mean']:.1f} +- {summary['eval_return_std']:.1f} "
            f"over {summary['eval_episodes']} episodes"
        )
        if cut := summary["eval_episodes_unfinished"]:
            evaluation += f", {cut} of them cut off before their end"
    steps = f"{summary['env_steps']:,} steps at {summary['env_steps_per_second']:,.0f} steps/s"
    return f"seed {summary['seed']}: {evaluation}, {steps}"


@contextlib.contextmanager
def _signals(stop: Callable[[], None]) -> Iterator[None]:
    """Makes the first interrupt or termination call `stop`, and the second end the process at once."""
    received: list[int] = []

    def handle(number: int, frame: FrameType | None) -> None:
        del frame
        if received:
            raise SystemExit(EXIT_INTERRUPTED)
        received.append(number)
        stop()

    previous = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
