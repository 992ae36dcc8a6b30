"""A training step that several devices share: each acts in its environments and takes its part of batches."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, NamedTuple, Protocol

import tensorflow as tf

from rl_fn._src import shards
from rl_fn._src.loops.chunks import StepReport
from rl_fn._src.loops.compile import Held, Running, check_specs
from rl_fn._src.loops.rollout import init_actors
from rl_fn._src.loops.train_step import TrainState, train_step
from rl_fn._src.xla.calls import compile_once
from rl_fn._src.xla.garbage import collected_later
from rl_fn._src.xla.parts import Parts, Turn
from rl_fn.agents.base import Agent
from rl_fn.envs.base import Env
from rl_fn.struct import Nest

_ATTEMPTS = 4  # at a chunk in which devices are lost


class SharedStep:
    """The training step of one of several devices, traced once for all of them.

    Every device holds the whole of the agent's state and its rows of the environments, in their order: what it comes to
    is what one device would have, to rounding.

    Args:
      agent: what learns; its schedule is that of all devices together.
      env: the environments.
      state_spec: of the `TrainState` of all devices together.
      devices: how many.

    Raises:
      ValueError: if the environments, or a batch that the agent learns from, cannot be shared equally.
    """

    def __init__(self, agent: Agent, env: Env, state_spec: TrainState, devices: int):
        num_envs = agent.schedule.num_envs
        if num_envs % devices:
            raise ValueError(f"num_envs is {num_envs}, expected a multiple of the {devices} devices that share them")
        self.devices = devices
        key = tf.TensorSpec([2], tf.uint32)
        with collected_later():
            begin = tf.function(lambda key: init_actors(agent, env, num_envs // devices, key), autograph=False)
            actors = tf.nest.map_structure(
                lambda leaf: tf.TensorSpec(leaf.shape, leaf.dtype),
                begin.get_concrete_function(key).structured_outputs,
            )
            self._axes = tf.nest.map_structure(_axis_that_differs, state_spec.actors, actors)
            self._spec = state_spec._replace(actors=actors)
            step = train_step(agent, env)

            def shared(state: TrainState, index: tf.Tensor) -> tuple[TrainState, StepReport]:
                with shards.sharded(index, devices):
                    return step(state)

            traced = tf.function(shared, autograph=False).get_concrete_function(self._spec, tf.TensorSpec([], tf.int32))
            check_specs("shared step", traced.structured_outputs[0], self._spec)
            self.graph = traced.graph
            self._captured = traced.captured_inputs
            self._parts = Parts(traced.graph, traced.inputs, traced.outputs)
        self._report = tf.nest.map_structure(
            lambda leaf: tf.TensorSpec(leaf.shape, leaf.dtype), traced.structured_outputs[1]
        )
        self._added = compile_once(
            lambda sums, report: tf.nest.map_structure(lambda s, x: s + tf.cast(x, s.dtype), sums, report)
        )

    def rows(self, state: TrainState, index: int) -> TrainState:
        """The state of one device, from that of all."""

        def part(leaf: tf.Tensor, axis: int) -> tf.Tensor:
            leaf = tf.convert_to_tensor(leaf)
            return leaf if axis < 0 else tf.split(leaf, self.devices, axis)[index]

        return state._replace(actors=tf.nest.map_structure(part, state.actors, self._axes))

    def whole(self, state: TrainState, actors: Sequence[Nest]) -> TrainState:
        """The state of all devices, from that of the first and what each has of the environments."""

        def joined(axis: int, *leaves: tf.Tensor) -> tf.Tensor:
            return leaves[0] if axis < 0 else tf.concat(leaves, axis)

        return state._replace(actors=tf.nest.map_structure(joined, self._axes, *actors))

    def run(self, state: TrainState, index: int, iterations: int) -> Turn:
        """Runs iterations on one device, meeting the others; returns the leaves of its state and of the sums."""
        leaves = [tf.identity(leaf) for leaf in tf.nest.flatten(state)]
        number = tf.constant(index)
        sums = tf.nest.map_structure(
            lambda x: tf.zeros(x.shape, x.dtype if x.dtype.is_floating else tf.float32), self._report
        )
        for _ in range(iterations):
            results = yield from self._parts.run([*leaves, number, *self._captured])
            leaves, report = results[: len(leaves)], results[len(leaves) :]
            sums = self._added(sums, tf.nest.pack_sequence_as(self._report, report))
        return [*leaves, *tf.nest.flatten(sums)]

    def with_actors(self, leaves: Sequence[tf.Tensor]) -> TrainState:
        """A state of which only the environments of a device are known."""
        actors = tf.nest.pack_sequence_as(self._spec.actors, leaves)
        return TrainState(agent=None, actors=actors, key=None, iteration=None, policies=None)

    def unpack(self, leaves: Sequence[tf.Tensor]) -> tuple[TrainState, StepReport]:
        """What `run` returned: the state of a device, and the sums."""
        size = len(tf.nest.flatten(self._spec))
        packed = tf.nest.pack_sequence_as
        return packed(self._spec, leaves[:size]), packed(self._report, leaves[size:])


class Came(NamedTuple):
    """What a device has come to: a vector for a meeting, or its state and the sums.

    Only those of the first device are looked at, but for what others have of the environments.
    """

    vector: Any = None
    results: Any = None


class PeerLost(Exception):
    """A device that is gone; its peer can make it again."""


class Peer(Protocol):
    """A device that shares a step, wherever it is."""

    def load(self, state: TrainState) -> None:
        """Takes its rows of a state."""

    def begin(self, iterations: int) -> Callable[[], Came]:
        """Begins to run; what is returned waits until the device meets the others or has its results."""

    def go_on(self, total: Any) -> Callable[[], Came]:
        """Hands it the sum over devices, and lets it run on."""

    def close(self) -> None:
        """It is not needed any more."""


class OnDevice:
    """A peer on a device of this process, in a thread of its own.

    Args:
      step: what is shared.
      index: which device this is.
      device: its name.
    """

    def __init__(self, step: SharedStep, index: int, device: str):
        self._step, self._index, self._device = step, index, device
        self._thread: ThreadPoolExecutor | None = None
        self._state: Any = None
        self._turn: Any = None

    def load(self, state: TrainState) -> None:
        """See Peer."""
        with tf.device(self._device):
            self._state = tf.nest.map_structure(tf.identity, self._step.rows(state, self._index))

    def begin(self, iterations: int) -> Callable[[], Came]:
        """See Peer."""
        self._turn = self._step.run(self._state, self._index, iterations)
        return self._submitted(None)

    def go_on(self, total: Any) -> Callable[[], Came]:
        """See Peer."""
        return self._submitted(total)

    def close(self) -> None:
        """See Peer."""
        if self._thread is not None:
            self._thread.shutdown(wait=False)
        self._thread = None

    def _submitted(self, total: Any) -> Callable[[], Came]:
        if self._thread is None:
            self._thread = ThreadPoolExecutor(1, thread_name_prefix=f"device-{self._index}")
        future: Future[Came] = self._thread.submit(self._advance, self._turn, total)
        return future.result

    def _advance(self, turn: Turn, total: Any) -> Came:
        with tf.device(self._device):
            try:
                return Came(vector=turn.send(None if total is None else tf.identity(total)))
            except StopIteration as end:
                self._state, sums = self._step.unpack(end.value)
                return Came(results=(self._state, sums))


class Lockstep(Held, Running):
    """A shared step with its state, run by several devices.

    The state is that of all of them together, in the form that one device would have it.
    """

    def __init__(self, step: SharedStep, peers: Sequence[Peer], state: TrainState):
        super().__init__(state)
        self._step, self._peers = step, list(peers)
        self.graph = step.graph
        self._is_theirs = False  # whether the devices have the state already

    def run(self, iterations: int) -> Nest:
        """See Running."""
        for attempts_left in reversed(range(_ATTEMPTS)):
            try:
                came = self._ran(iterations)
                break
            except PeerLost:  # the state is still that of before
                if not attempts_left:
                    raise
        states, sums = zip(*[one.results for one in came], strict=True)
        self._assign(self._step.whole(states[0], [state.actors for state in states]))
        self._is_theirs = True
        return tf.nest.map_structure(lambda leaf: leaf.numpy(), sums[0])

    def _ran(self, iterations: int) -> list[Came]:
        if not self._is_theirs:
            state = self.read()
            for peer in self._peers:
                peer.load(state)
        self._is_theirs = False  # unless all goes well
        came = _all([peer.begin(iterations) for peer in self._peers])
        while came[0].results is None:
            total = _sum([one.vector for one in came])
            came = _all([peer.go_on(total) for peer in self._peers])
        return came

    def restore(self, state: Nest) -> None:
        """See Held."""
        super().restore(state)
        self._is_theirs = False

    def close(self) -> None:
        """Lets go of the devices."""
        for peer in self._peers:
            peer.close()


def _all(waits: Sequence[Callable[[], Came]]) -> list[Came]:
    """What all have come to; raises what one has raised only when none runs any more."""
    came, errors = [], []
    for wait in waits:
        try:
            came.append(wait())
        except Exception as error:
            errors.append(error)
    if errors:
        raise errors[0]
    return came


def _sum(vectors: list[Any]) -> tf.Tensor:
    """Always in the same order, so that it has the same bits."""
    total = vectors[0]
    for vector in vectors[1:]:
        total = total + vector
    return total


def _axis_that_differs(whole: tf.TensorSpec, part: tf.TensorSpec) -> int:
    """The axis along which a device has a part; -1 where it has the whole."""
    pairs = zip(whole.shape.as_list(), part.shape.as_list(), strict=True)
    return next((axis for axis, (all_rows, rows) in enumerate(pairs) if all_rows != rows), -1)


def spec_of(init: Callable[[tf.Tensor], TrainState]) -> TrainState:
    """The shapes and dtypes of what `init(key)` makes, without making it."""
    with collected_later():
        made = tf.function(init, autograph=False).get_concrete_function(tf.TensorSpec([2], tf.uint32))
    return tf.nest.map_structure(lambda leaf: tf.TensorSpec(leaf.shape, leaf.dtype), made.structured_outputs)
