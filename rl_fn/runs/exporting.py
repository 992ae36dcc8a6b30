"""What a run has learned, in forms that need nothing of this library.

folder/saved_model/       TensorFlow: acting, for a batch of any size
    policy.tflite         LiteRT: acting, for one observation
    train_step.mlir       StableHLO: one iteration of training, `state -> (state, report)`
    example.npz           observations as inputs, and the actions that the agent chose for them
    export.json           the names, shapes and dtypes of all inputs and outputs

Acting is without exploration, and knows nothing of noise that follows on that of the step before. A recurrent policy
takes what it remembers as further inputs `actor_state...`, and gives what it is to be given at the next step as
outputs of the same names; an episode begins with `initial_...` of the example.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from rl_fn import random, struct
from rl_fn._src.xla import in_place
from rl_fn._src.xla.calls import graph
from rl_fn.envs.base import Env, judged
from rl_fn.runs import folder as folders
from rl_fn.runs.loading import Loaded
from rl_fn.runs.stablehlo import PLATFORMS, to_stablehlo
from rl_fn.struct import Nest

FORMS = ("saved_model", "tflite", "stablehlo")
EXAMPLES = 1_000
_SIDE_BY_SIDE = 10  # compiled environments that the examples come from


class Acting(NamedTuple):
    """Acting as a function of named tensors."""

    function: Callable[..., dict[str, tf.Tensor]]  # by the names of its inputs
    inputs: dict[str, tf.TensorSpec]  # of one, without a batch axis
    initial: dict[str, tf.Tensor]  # [1, ...]: what a recurrent policy remembers where an episode begins


def export(learned: Loaded, output: Path | str, *, forms: Sequence[str] = FORMS, platform: str = "CPU") -> None:
    """Writes what a run has learned.

        rl.runs.export(rl.runs.load("runs/mine"), "exported")

    Args:
      learned: from `load`.
      output: the folder to write to, which is made where it is missing.
      forms: of FORMS; the example belongs to all.
      platform: of PLATFORMS, where the training step is to run.

    Raises:
      ValueError: for an unknown form or platform, or if there is no such form of this agent.
    """
    for name, given, allowed in [*(("forms", one, FORMS) for one in forms), ("platform", platform, PLATFORMS)]:
        if given not in allowed:
            raise ValueError(f"{name} is {given!r}, expected one of {', '.join(allowed)}")
    output = Path(output)
    output.mkdir(parents=True, exist_ok=True)
    module = tf.Module()
    module.params = tf.nest.map_structure(lambda leaf: tf.Variable(leaf, trainable=False), learned.policy.params)
    acting = acting_of(learned, lambda: tf.nest.map_structure(tf.convert_to_tensor, module.params))
    content: dict[str, Any] = {
        "env": learned.env.spec.name,
        "env_steps": learned.env_steps,
        "versions": folders.versions(),
        "inputs": [_described(name, spec) for name, spec in acting.inputs.items()],
        "outputs": ["action", *acting.initial],
    }
    if "saved_model" in forms:
        tf.saved_model.save(module, str(output / "saved_model"), signatures=_traced(acting, None))
    if "tflite" in forms:
        (output / "policy.tflite").write_bytes(_tflite(module, acting))
    if "stablehlo" in forms:
        text, step = to_stablehlo(learned.agent, learned.env, platform)
        (output / "train_step.mlir").write_text(text)
        content["train_step"] = {"platform": platform, **step}
    np.savez(output / "example.npz", allow_pickle=False, **example(learned, acting, EXAMPLES))
    folders.write_json(output / "export.json", content)


def acting_of(loaded: Loaded, params: Callable[[], Nest]) -> Acting:
    """Acting without exploration as a function of named tensors, for a batch of any size.

    Args:
      loaded: what acts.
      params: gives its parameters where the function is traced.
    """
    agent, observation = loaded.agent, struct.space_spec(loaded.env.spec.observation_space)
    initial = tf.nest.map_structure(tf.convert_to_tensor, agent.init_actor(1))
    remembered = tf.nest.map_structure(lambda leaf: tf.TensorSpec(leaf.shape[1:], leaf.dtype), initial)
    inputs = {"observation": observation, "actor_state": remembered}
    named = {_variable(path): leaf for path, leaf in struct.named_leaves(inputs)}
    if len(named) < len(tf.nest.flatten(inputs)):
        raise ValueError(
            f"names of {loaded.env.spec.name}'s observations differ only in what is no letter: {list(named)}"
        )
    states = {_variable(path): leaf for path, leaf in struct.named_leaves({"actor_state": initial})}

    def whole(**tensors: tf.Tensor) -> dict[str, tf.Tensor]:
        given = tf.nest.pack_sequence_as(inputs, [tensors[name] for name in named])
        # A fixed key lets compilers work out beforehand what is random: what breaks ties, and Dreamer's latents.
        acted = agent.act(params(), given["actor_state"], given["observation"], random.key(0), "eval")
        outputs = {"action": acted.action, "actor_state": acted.actor_state}
        return {_variable(path): leaf for path, leaf in struct.named_leaves(outputs)}

    held = _passed_on(whole, named, list(states))

    def function(**tensors: tf.Tensor) -> dict[str, tf.Tensor]:
        size = tf.shape(next(iter(tensors.values())))[0]
        outputs = whole(**tensors, **{name: tf.repeat(states[name], size, axis=0) for name in held})
        return {name: tf.identity(leaf) for name, leaf in outputs.items() if name not in held}

    kept = lambda leaves: {name: leaf for name, leaf in leaves.items() if name not in held}
    return Acting(function, kept(named), kept(states))


def _passed_on(acting: Callable[..., Nest], inputs: dict[str, tf.TensorSpec], names: list[str]) -> set[str]:
    """Which of the names come out as they went in, and so always are what they began as: the noise of exploration."""
    found: set[str] = set()

    def tell(**tensors: tf.Tensor) -> None:
        outputs = acting(**tensors)
        found.update(name for name in names if outputs[name] is tensors[name])

    ahead = {name: tf.TensorSpec([None, *spec.shape], spec.dtype) for name, spec in inputs.items()}
    tf.function(tell, autograph=False).get_concrete_function(**ahead)
    return found


def _tflite(module: tf.Module, acting: Acting) -> bytes:
    """Acting for one observation; raises ValueError if an operation of it has no counterpart there."""
    with in_place.plain():
        program = _traced(acting, 1)
    converter = tf.lite.TFLiteConverter.from_concrete_functions([program], module)
    try:
        return converter.convert()
    except Exception as error:  # whatever the converter raises
        reason = str(error).strip().splitlines()[0]
        raise ValueError(f"this agent's acting cannot become a TFLite model, leave out tflite: {reason}") from None


def example(loaded: Loaded, acting: Acting, count: int) -> dict[str, np.ndarray]:
    """Inputs and outputs of acting: what the agent saw while it played, and chose.

    Returns:
      Arrays `[count, ...]` by the names of the inputs, and by those of the outputs after `expected_`; and what a
      recurrent policy remembers in the beginning, `[1, ...]`, after `initial_`.
    """
    program = graph(lambda tensors: acting.function(**tensors), jit_compile=True)
    rows: dict[str, list[np.ndarray]] = {}
    env = judged(loaded.env) if isinstance(loaded.env, Env) else loaded.env
    size = _SIDE_BY_SIDE if isinstance(env, Env) else env.num_envs
    observe, state, begins = _steps(env, size), None, None
    action: Any = None
    for _ in range(-(-count // size)):
        observation, begins = observe(action)
        if acting.initial:
            initial = {name: tf.repeat(leaf, size, axis=0) for name, leaf in acting.initial.items()}
            state = initial if state is None else struct.where(begins, initial, state)
        inputs = {_variable(path): leaf for path, leaf in struct.named_leaves({"observation": observation})}
        inputs |= state or {}
        outputs = program({name: tf.convert_to_tensor(leaf) for name, leaf in inputs.items()})
        action, state = outputs["action"], {name: outputs[name] for name in acting.initial}
        for name, leaf in [*inputs.items(), *((f"expected_{name}", leaf) for name, leaf in outputs.items())]:
            rows.setdefault(name, []).append(np.asarray(leaf))
    arrays = {name: np.concatenate(parts)[:count] for name, parts in rows.items()}
    return {**arrays, **{f"initial_{name}": leaf.numpy() for name, leaf in acting.initial.items()}}


def _traced(acting: Acting, batch_size: int | None) -> Any:
    function = tf.function(acting.function, autograph=False)
    ahead = lambda name, spec: tf.TensorSpec([batch_size, *spec.shape], spec.dtype, name)
    return function.get_concrete_function(**{name: ahead(name, spec) for name, spec in acting.inputs.items()})


def _steps(env: Any, size: int) -> Callable[[Any], tuple[Nest, np.ndarray]]:
    """From actions, None at first, to what is observed next, and where episodes begin."""
    keys = (random.fold_in(random.key(0), count) for count in itertools.count())
    if not isinstance(env, Env):
        return _host_steps(env)
    reset = graph(lambda key: env.reset(key, size))
    step = graph(env.step, jit_compile=True)
    held: list[Nest] = []

    def observe(action: Any) -> tuple[Nest, np.ndarray]:
        if action is None:
            state, observation = reset(next(keys))
            held[:] = [state]
            return observation, np.ones(size, bool)
        held[0], outcome = step(held[0], action, next(keys))
        return outcome.observation, outcome.terminated | outcome.truncated

    return observe


def _host_steps(env: Any) -> Callable[[Any], tuple[Nest, np.ndarray]]:
    def observe(action: Any) -> tuple[Nest, np.ndarray]:
        if action is None:
            return env.reset(0), np.ones(env.num_envs, bool)
        outcome = env.step(action.numpy())
        return outcome.observation, outcome.terminated | outcome.truncated

    return observe


def _variable(path: str) -> str:
    """The name of a leaf as signatures want it."""
    return re.sub(r"\W", "_", path)


def _described(name: str, spec: tf.TensorSpec) -> dict[str, Any]:
    return {"name": name, "shape": [None, *spec.shape], "dtype": spec.dtype.name}
