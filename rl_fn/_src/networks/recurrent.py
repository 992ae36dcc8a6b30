"""Recurrent networks: a step, and an unroll over time that vectorises over copies."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import tensorflow as tf

from rl_fn import random, struct
from rl_fn._src import naming
from rl_fn._src.networks.base import OWN, Initializer, lecun_normal, orthogonal
from rl_fn._src.networks.feedforward import dense
from rl_fn._src.scan import scan
from rl_fn._src.shapes import check_shape
from rl_fn._src.xla.products import product
from rl_fn.struct import Nest


class RecurrentNetwork(NamedTuple):
    """A network with a recurrent state. Where an episode begins, that is the initial one: zeros.

    One of your own is made from its step by `recurrent`.
    """

    init: Callable[[random.Key, tf.TensorSpec], Nest]
    # batch_size -> recurrent_state [B, units]
    initial_state: Callable[[int], Nest]
    # (params, recurrent_state [..., units], inputs [..., F]) -> (outputs [..., units], recurrent_state)
    step: Callable[[Nest, Nest, tf.Tensor], tuple[tf.Tensor, Nest]]
    # (params, recurrent_state [B, units], inputs [T, B, F], is_first bool[T, B])
    #   -> (outputs [T, B, units], recurrent_state)
    unroll: Callable[[Nest, Nest, tf.Tensor, tf.Tensor], tuple[tf.Tensor, Nest]]


def gru(units: int, kernel_init: Initializer | None = None) -> RecurrentNetwork:
    """A gated recurrent unit (Cho et al., 2014).

    The reset gate acts on the recurrent product, as in cuDNN, so that a step is one matrix product.

    Args:
      units: the size of the state.
      kernel_init: of the input kernel, `lecun_normal()` unless given; the recurrent one is orthogonal.
    """

    def cell(params: Nest, state: tf.Tensor, projected: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        recurrent = product(state, params["recurrent_kernel"]) + params["recurrent_bias"]
        x_reset, x_update, x_new = tf.split(projected, 3, axis=-1)
        h_reset, h_update, h_new = tf.split(recurrent, 3, axis=-1)
        update = tf.sigmoid(x_update + h_update)
        candidate = tf.tanh(x_new + tf.sigmoid(x_reset + h_reset) * h_new)
        state = update * state + (1 - update) * candidate
        return state, state

    return _recurrent(units, 3, cell, lambda batch_size: tf.zeros([batch_size, units]), kernel_init)


def lstm(units: int, kernel_init: Initializer | None = None) -> RecurrentNetwork:
    """Long short-term memory (Hochreiter and Schmidhuber, 1997) with a forget gate (Gers et al., 2000).

    The forget gate's bias starts at one (Jozefowicz et al., 2015).

    Args:
      units: the size of the output, and of the cell; the state is both.
      kernel_init: of the input kernel, `lecun_normal()` unless given; the recurrent one is orthogonal.
    """

    def cell(params: Nest, state: tuple, projected: tf.Tensor) -> tuple[tf.Tensor, tuple]:
        hidden, carried = state
        gates = projected + product(hidden, params["recurrent_kernel"]) + params["recurrent_bias"]
        forget, enter, leave, new = tf.split(gates, 4, axis=-1)
        carried = tf.sigmoid(forget + 1.0) * carried + tf.sigmoid(enter) * tf.tanh(new)
        hidden = tf.sigmoid(leave) * tf.tanh(carried)
        return hidden, (hidden, carried)

    zeros = lambda batch_size: tf.zeros([batch_size, units])
    return _recurrent(units, 4, cell, lambda batch_size: (zeros(batch_size), zeros(batch_size)), kernel_init)


def recurrent(
    init: Callable[[random.Key, tf.TensorSpec], Nest],
    initial_state: Callable[[int], Nest],
    step: Callable[[Nest, Nest, tf.Tensor], tuple[tf.Tensor, Nest]],
) -> RecurrentNetwork:
    """Makes a recurrent network of your own from its step, which the loop over time repeats.

    Args:
      init: from a key and the specification of one input to parameters.
      initial_state: from a batch size to the state where episodes begin, a nest of zeros `[B, ...]`.
      step: `(params, state [B, ...], inputs [B, F]) -> (outputs [B, units], state)`.
    """

    def unroll(params: Nest, recurrent_state: Nest, inputs: tf.Tensor, is_first: tf.Tensor) -> tuple[tf.Tensor, Nest]:
        def one(state: Nest, x: tuple) -> tuple[Nest, tf.Tensor]:
            inputs, is_first = x
            outputs, state = step(params, _anew(is_first, state), inputs)
            return state, outputs

        recurrent_state, outputs = scan(one, recurrent_state, (inputs, is_first))
        return outputs, recurrent_state

    return RecurrentNetwork(init, initial_state, step, unroll)


def memory_spec(network: RecurrentNetwork, params: Nest, spec: tf.TensorSpec) -> tf.TensorSpec:
    """The specification of one output of a recurrent network, found by tracing and without running it."""
    step = lambda inputs: network.step(params, network.initial_state(1), inputs)[0]
    batched = tf.TensorSpec([1, *spec.shape], spec.dtype)
    outputs = tf.function(step, autograph=False).get_concrete_function(batched).structured_outputs
    return tf.TensorSpec(outputs.shape[1:], outputs.dtype)


MEMORIES = ("none", "gru", "lstm", OWN)


def memory(kind: Any, units: int) -> RecurrentNetwork | None:
    """The recurrent network of that name; None for "none".

    Args:
      kind: a name; or one of your own: a RecurrentNetwork, a function from `units` to one, or a text `module:name`
        that names either.
      units: the size of its outputs.

    Raises:
      ValueError: if there is no such name, or it is something else.
    """
    if (isinstance(kind, str) and naming.is_reference(kind)) or not isinstance(kind, str):
        found = naming.resolve(kind) if isinstance(kind, str) else kind
        if callable(found):
            found = found(units)
        if not isinstance(found, RecurrentNetwork):
            raise ValueError(f"memory is a {type(found).__name__}, expected a networks.RecurrentNetwork")
        return found
    match kind:
        case "none":
            return None
        case "gru":
            return gru(units)
        case "lstm":
            return lstm(units)
    raise ValueError(f"memory is {kind!r}, expected one of {', '.join(MEMORIES)}")


def _recurrent(
    units: int,
    num_gates: int,
    cell: Callable[[Nest, Nest, tf.Tensor], tuple[tf.Tensor, Nest]],
    initial_state: Callable[[int], Nest],
    kernel_init: Initializer | None,
) -> RecurrentNetwork:
    kernel_init = kernel_init or lecun_normal()

    def init(key: random.Key, spec: tf.TensorSpec) -> Nest:
        input_key, recurrent_key = tf.unstack(random.split(key))
        keys = tf.unstack(random.split(recurrent_key, num_gates), num=num_gates)
        return {
            "kernel": kernel_init(input_key, [spec.shape[-1], num_gates * units]),
            "bias": tf.zeros([num_gates * units]),
            "recurrent_kernel": tf.concat([orthogonal()(gate, [units, units]) for gate in keys], axis=-1),
            "recurrent_bias": tf.zeros([num_gates * units]),
        }

    def project(params: Nest, inputs: tf.Tensor) -> tf.Tensor:
        return dense(num_gates * units).apply(params, inputs)

    def step(params: Nest, recurrent_state: Nest, inputs: tf.Tensor) -> tuple[tf.Tensor, Nest]:
        for leaf in tf.nest.flatten(recurrent_state):
            check_shape("recurrent step: recurrent_state", leaf, [*inputs.shape[:-1], units])
        return cell(params, recurrent_state, project(params, inputs))

    def unroll(params: Nest, recurrent_state: Nest, inputs: tf.Tensor, is_first: tf.Tensor) -> tuple[tf.Tensor, Nest]:
        def one(state: Nest, x: tuple) -> tuple[Nest, tf.Tensor]:
            projected, is_first = x
            outputs, state = cell(params, _anew(is_first, state), projected)
            return state, outputs

        # The inputs of all steps are projected in one product; only the recurrence is a loop.
        recurrent_state, outputs = scan(one, recurrent_state, (project(params, inputs), is_first))
        return outputs, recurrent_state

    return RecurrentNetwork(init, initial_state, step, unroll)


def _anew(is_first: tf.Tensor, state: Nest) -> Nest:
    """The state, zeros where an episode begins."""
    return struct.where(is_first, tf.nest.map_structure(tf.zeros_like, state), state)
