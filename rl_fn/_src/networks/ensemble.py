"""Several networks of one kind on the same inputs."""

from __future__ import annotations

from rl_fn import random
from rl_fn._src.networks.base import Network
from rl_fn._src.xla.copies import vectorized_map
from rl_fn.struct import Nest


def ensemble(network: Network, size: int) -> Network:
    """Networks of one kind with parameters of their own, computed side by side.

    Args:
      network: from inputs `[N, ...]` to outputs `[N, ...]`.
      size: K, of them.

    Returns:
      A Network with outputs `[K, N, ...]`; its parameters have a leading axis `[K]`, too.
    """

    def init(key: random.Key, spec: Nest) -> Nest:
        return vectorized_map(lambda part: network.init(part, spec), random.split(key, size))

    def apply(params: Nest, inputs: Nest) -> Nest:
        return vectorized_map(lambda part: network.apply(part, inputs), params)

    return Network(init, apply)
