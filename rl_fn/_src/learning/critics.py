"""Several critics side by side."""

from __future__ import annotations

import tensorflow as tf

from rl_fn import networks, random
from rl_fn._src.scan import scan
from rl_fn.struct import Nest


def critics(critic: networks.Network, size: int = 2) -> networks.Network:
    """Critics of one kind with parameters of their own; of two, the smaller value is the one to believe.

    Fujimoto, van Hoof and Meger (2018), "Addressing function approximation error in actor-critic methods".

    Args:
      critic: from inputs `[N, ...]` to values `[N, ...]`.
      size: C, how many there are.

    Returns:
      A Network with outputs `[N, C, ...]`.
    """
    all_of_them = networks.separate(**{f"critic_{index}": critic for index in range(size)})

    def apply(params: Nest, inputs: Nest) -> tf.Tensor:
        return tf.stack(list(all_of_them.apply(params, inputs).values()), axis=1)

    return networks.Network(all_of_them.init, apply)


def keyless(network: networks.Network) -> networks.KeyedNetwork:
    """A network whose outputs are not random, as one whose outputs may be."""
    return networks.KeyedNetwork(network.init, lambda params, inputs, key: network.apply(params, inputs))


def keyed_critics(critic: networks.KeyedNetwork, size: int = 2) -> networks.KeyedNetwork:
    """As `critics`, of critics whose outputs are random, each with a key of its own."""
    names = [f"critic_{index}" for index in range(size)]

    def init(key: random.Key, spec: Nest) -> Nest:
        keys = tf.unstack(random.split(key, size), num=size)
        return {name: critic.init(part, spec) for name, part in zip(names, keys, strict=True)}

    def apply(params: Nest, inputs: Nest, key: random.Key) -> tf.Tensor:
        keys = tf.unstack(random.split(key, size), num=size)
        each = [critic.apply(params[name], inputs, part) for name, part in zip(names, keys, strict=True)]
        return tf.stack(each, axis=1)

    return networks.KeyedNetwork(init, apply)


def successor_values(
    network: networks.ActorCritic,
    params: Nest,
    value: tf.Tensor,
    recurrent_state: Nest,
    inputs: Nest,
    next_inputs: Nest,
    is_last: tf.Tensor,
    discount: tf.Tensor,
) -> tf.Tensor:
    """Values `[T, B]` of the true successors, with what is remembered after the step and not after a reset.

    Where an episode goes on that is the value of the next step. Only the last row is left to the network, and rows in
    which an episode was cut: what ended by itself has no value after its end, and what is here in its place counts 0.

    Args:
      network: policy and value.
      params: of the network.
      value: `[T, B]` at each step.
      recurrent_state: `[T, B, ...]` before each step.
      inputs: `[T, B, ...]` at each step.
      next_inputs: `[T, B, ...]` of the true successors.
      is_last: `bool[T, B]`, whether the episode ends with the step.
      discount: `[T, B]`, 0 where the task ended.
    """
    params, value = tf.nest.map_structure(tf.stop_gradient, (params, value))
    has_no_next = tf.concat([is_last[:-1], tf.ones_like(is_last[-1:])], axis=0)
    is_due = tf.reduce_any(has_no_next & (discount > 0), axis=1)
    rows = tf.argsort(tf.cast(~is_due, tf.int32), stable=True)  # those that are due first

    def one(carry: tuple[tf.Tensor, tf.Tensor], x: None) -> tuple[tuple[tf.Tensor, tf.Tensor], None]:
        count, values = carry
        row = tf.gather(rows, count)
        steps = recurrent_state, inputs, next_inputs, has_no_next, values
        before, at, following, is_missing, known = tf.nest.map_structure(lambda leaf: tf.gather(leaf, row), steps)
        _, after = network.step(params, before, at)
        (_, of_row), _ = network.step(params, after, following)
        of_row = tf.where(is_missing, of_row, known)
        return (count + 1, tf.tensor_scatter_nd_update(values, [[row]], of_row[tf.newaxis])), None

    following = tf.concat([value[1:], value[-1:]], axis=0)
    (_, values), _ = scan(one, (tf.constant(0), following), length=tf.reduce_sum(tf.cast(is_due, tf.int32)))
    return values
