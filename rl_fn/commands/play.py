"""`rl-fn play`."""

from __future__ import annotations

from typing import Annotated

from rl_fn._src.xla.startup import import_tensorflow
from rl_fn.commands.exits import EXIT_INTERRUPTED, refusals, refuse, say
from rl_fn.commands.flags import Checkpoint, Imports, RunFolder, flag
from rl_fn.runs import stores
from rl_fn.sets import modules


def play(
    run: RunFolder,
    *,
    checkpoint: Checkpoint = "newest",
    episodes: Annotated[int, flag("How many to play.", "N")] = 3,
    record_video: Annotated[bool, flag("Record films, to RUN/run_0/videos.")] = False,
    render: Annotated[bool, flag("Show them in a window.")] = False,
    seed: Annotated[int, flag("The same seed gives the same episodes.", "N")] = 0,
    imports: Imports = (),
) -> None:
    """Play episodes with what a run has learned, without exploration."""
    if episodes < 1:
        refuse(f"episodes is {episodes}, expected at least 1")
    import_tensorflow(compilation_cache=True)
    from rl_fn import random
    from rl_fn.media import films
    from rl_fn.runs.loading import copy_folders, load

    with refusals(run):
        modules.import_named(modules.names(imports))
        if record_video:
            stores.refuse_to_write(run, "--record_video")
        copy = copy_folders(run)[0]
        videos = copy / "videos" if record_video else None
        agent, env, policy, env_steps, notes = load(copy, checkpoint=checkpoint, pictures=record_video or render)
        for note in notes:
            say(note)
        recorder = films.Recorder(agent, env, folder=videos, window=render, episodes=episodes)
        try:
            for index, episode_return in enumerate(recorder(policy.params, random.key(seed), env_steps)):
                print(f"episode {index}: return {episode_return:.1f}", flush=True)
        except KeyboardInterrupt:
            raise SystemExit(EXIT_INTERRUPTED) from None
        finally:
            recorder.close()
            if hasattr(env, "close"):
                env.close()
    if videos:
        print(videos)
