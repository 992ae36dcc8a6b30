"""Small states in the folder of a run, without training."""

from typing import NamedTuple

import numpy as np

from rl_fn.runs import RunConfig, RunError, checkpoint, folder
from rl_fn.runs.storage import Storage


class State(NamedTuple):
    params: dict
    flags: tuple


def state(number):
    values = np.random.default_rng(number).normal(size=(3, 2)).astype(np.float32)
    return State({"w": values, "b": np.zeros([0, 4], np.float32)}, (np.array([True, False]), np.int64(number)))


LIKE = state(0)


def make(output_dir, copies=1, **settings):
    described = RunConfig(
        hparams=None, output_dir=output_dir, env="CartPole-v1", train_steps=800, copies=copies, **settings
    )
    return Storage(output_dir, folder.contents(described), steps=8)


def save(storage, *iterations):
    copies = len(storage.folders)
    with storage.locked():
        storage.prepare()
        for iteration in iterations:
            storage.save(iteration, [state(copies * iteration + copy) for copy in range(copies)], {"due": None})
    return storage


def begun(output_dir, copies=1):
    return save(make(output_dir, copies), 10, 20, 30)


def restored(output_dir, copies=1):
    """The iteration from which a new run goes on, and what it says of it; its state is what was saved."""
    storage = make(output_dir, copies)
    with storage.locked():
        found = storage.restore([LIKE] * copies, lambda loaded: loaded.metadata["due"])
        storage.prepare()
    if found is None:
        return 0, storage.notes
    iteration, states, _ = found
    digests = [checkpoint.digest(one) for one in states]
    assert digests == [checkpoint.digest(state(copies * iteration + copy)) for copy in range(copies)]
    return iteration, storage.notes


def sentence(call, *args):
    """What a call that fails says; "" if it does not fail."""
    try:
        call(*args)
    # What a folder already holds may be damaged, it may be impossible to make, and the run itself may fail.
    except (ValueError, OSError, RunError) as error:
        told = str(error)
        return told if "\n" not in told else f"several lines: {told!r}"
    return ""
