"""Keras models as networks."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import tensorflow as tf

from rl_fn import random
from rl_fn._src.networks.base import Network
from rl_fn.struct import Nest


def from_keras(model: Any) -> Network:
    """Makes a Network of a Keras 3 model, whose layers are drawn anew from the key by their own initialisers.

    Args:
      model: a built `tf.keras.Model` without state beside its weights (no batch normalisation, dropout
        or seed generators).

    Returns:
      A Network whose parameters are a dict from the paths of the model's variables to tensors, in which layers that
      Keras named by itself are counted anew: its own count goes over all models of a process. `init` runs eagerly:
      Keras initialisers take their seed as a Python integer.

    Raises:
      ValueError: if the model is not built, has state that is not trained, or two variables of one path (layers of
        one name).
    """
    unbuilt = [layer.name for layer in model._flatten_layers() if not layer.built]
    if unbuilt:
        raise ValueError(
            f"from_keras: the model is not built, of its layers {', '.join(unbuilt)}; give its first layer an Input, "
            "or call the model once"
        )
    if model.non_trainable_variables:
        names = ", ".join(variable.path for variable in model.non_trainable_variables)
        raise ValueError(f"from_keras: the model keeps state that is not trained, expected none: {names}")
    paths = [variable.path for variable in model.trainable_variables]
    twice = sorted({path for path in paths if paths.count(path) > 1})
    if twice:
        raise ValueError(f"from_keras: more than one variable has the path {', '.join(twice)}; rename their layers")
    initializers, counted = _keras_initializers(model), _settled_names(model)
    settled = ["/".join(counted.get(part, part) for part in path.split("/")) for path in paths]

    def init(key: random.Key, spec: Nest) -> Nest:
        del spec  # the model has been built for its input
        if not tf.executing_eagerly():
            raise ValueError("from_keras: init runs eagerly, and was called inside a tf.function")
        keys = random.split(key, len(paths))
        seeds = (
            random.bits(key, [len(paths)])
            if not paths
            else tf.bitwise.right_shift(keys[:, 0], tf.constant(1, tf.uint32))
        )
        return {
            name: _redraw(initializers.get(id(variable)), int(seed), variable)
            for name, variable, seed in zip(settled, model.trainable_variables, seeds, strict=True)
        }

    def apply(params: Nest, inputs: Nest) -> Nest:
        return model.stateless_call([params[name] for name in settled], [], inputs)[0]

    return Network(init, apply)


def _keras_initializers(model: Any) -> dict[int, Any]:
    """Maps `id(variable)` to the initialiser that its layer declares as `<name>_initializer`."""
    found = {}
    for layer in _layers(model, set()):
        for variable in layer.trainable_variables:
            initializer = getattr(layer, f"{variable.name}_initializer", None)
            if initializer is not None:
                found[id(variable)] = initializer
    return found


def _settled_names(model: Any) -> dict[str, str]:
    """The names that layers would have if the model were the first of its process."""
    counts: dict[str, int] = {}
    settled = {}
    for layer in _layers(model, set()):
        base = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", type(layer).__name__).lower()
        if layer.name not in settled and re.fullmatch(rf"{re.escape(base)}(_\d+)?", layer.name):
            count = counts.get(base, 0)
            settled[layer.name] = f"{base}_{count}" if count else base
            counts[base] = count + 1
    return settled


def _layers(value: Any, seen: set[int]) -> Iterator[Any]:
    """The layers that a value holds, each before those that it is made of: a variable's own comes last."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list | tuple):
        for part in value:
            yield from _layers(part, seen)
    elif isinstance(value, tf.keras.layers.Layer) and id(value) not in seen:
        seen.add(id(value))
        yield value
        yield from _layers(vars(value), seen)


def _redraw(initializer: Any, seed: int, variable: Any) -> tf.Tensor:
    if initializer is None:
        raise ValueError(f"from_keras: the layer of {variable.path} has no initialiser by that name to draw it with")
    config = initializer.get_config()
    if "seed" in config:
        initializer = type(initializer).from_config({**config, "seed": seed})
    return tf.convert_to_tensor(initializer(variable.shape, dtype=variable.dtype))
