"""Several networks of one kind on the same inputs."""

from __future__ import annotations

import tensorflow as tf

from rl_fn import random
from rl_fn._src.networks.base import Network
from rl_fn._src.xla.copies import vectorized_map
from rl_fn.struct import Nest


def ensemble(network: Network, size: int) -> Network:
    """Networks of one kind with parameters of their own, computed side by side.

    Args:
      network: from inputs `[N, ...]` to outputs `[N, ...]`, which depend on nothing else that gets a gradient.
      size: K, of them.

    Returns:
      A Network with outputs `[K, N, ...]`; its parameters have a leading axis `[K]`, too.
    """

    def init(key: random.Key, spec: Nest) -> Nest:
        return vectorized_map(lambda part: network.init(part, spec), random.split(key, size))

    @tf.custom_gradient
    def apply(params: Nest, inputs: Nest) -> tuple:
        outputs = vectorized_map(lambda part: network.apply(part, inputs), params)

        def gradient(*upstream: tf.Tensor) -> list[tf.Tensor | None]:
            # Not that of the call above: what it keeps of it looks to XLA as if it depended on all inputs, where it
            # has to be constant, and then a program is compiled for each value of these.
            def pull_back(x: tuple[Nest, Nest]) -> list[tf.Tensor]:
                part, into = x
                sources = [leaf for leaf in tf.nest.flatten((part, inputs)) if leaf.dtype.is_floating]
                with tf.GradientTape(watch_accessed_variables=False) as tape:
                    tape.watch(sources)
                    one = network.apply(part, inputs)
                return tape.gradient(one, sources, into, tf.UnconnectedGradients.ZERO)

            pulled = iter(vectorized_map(pull_back, (params, tf.nest.pack_sequence_as(outputs, upstream))))
            of_params = [next(pulled) if leaf.dtype.is_floating else None for leaf in tf.nest.flatten(params)]
            of_inputs = [
                tf.reduce_sum(next(pulled), axis=0) if leaf.dtype.is_floating else None
                for leaf in tf.nest.flatten(inputs)
            ]
            return [*of_params, *of_inputs]

        return outputs, gradient

    return Network(init, apply)
