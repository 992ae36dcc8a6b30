"""The training step as StableHLO, which other compilers read: a portable form of XLA's programs."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf

from rl_fn import loops, random, struct
from rl_fn.agents.base import Agent
from rl_fn.envs.base import Env
from rl_fn.struct import EnvSpec, Nest, Transition

PLATFORMS = ("CPU", "GPU", "TPU")
_PACKED = re.compile(r'dense<"0x(?P<bits>[0-9A-F]+)"> : tensor<(?P<shape>[0-9x]+)xi1>')


def to_stablehlo(agent: Agent, env: Any, platform: str) -> tuple[str, dict[str, Any]]:
    """One iteration of training as StableHLO.

    Where the environment is compiled, it is `state -> (state, report)`, the rollout included; where it is stepped on
    the host, the trajectory is an input, too.

    Args:
      agent: what learns.
      env: where.
      platform: of PLATFORMS, which need not be here; the installed TensorFlow needs its kernels.

    Returns:
      The program as text, and what its arguments and results are, in their order. Those of the state have the names of
      the arrays in a checkpoint; `captured` ones are constants, with their values.
    """
    step, specs = _training_step(agent, env)
    results: list[dict[str, Any]] = []

    def flat(*leaves: tf.Tensor) -> list[tf.Tensor]:
        after, report = step(*tf.nest.pack_sequence_as(specs, leaves))
        named = [*struct.named_leaves(after), *struct.named_leaves(report, "report")]
        results[:] = [_leaf(name, leaf) for name, leaf in named]
        return [leaf for _, leaf in named]

    traced = tf.function(flat, jit_compile=True, autograph=False)
    leaves = tf.nest.flatten(specs)
    captured = traced.get_concrete_function(*leaves).captured_inputs
    try:
        text = traced.experimental_get_compiler_ir(*leaves)(stage="stablehlo", platform_name=platform)
    except Exception as error:  # whatever the compiler refuses
        reason = str(error).strip().splitlines()[0]
        raise ValueError(f"the training step cannot be lowered for {platform}, leave out stablehlo: {reason}") from None
    text = portable(text)
    named = [*struct.named_leaves(specs[0])]
    for trajectory in specs[1:]:
        named += struct.named_leaves(trajectory, "trajectory")
    arguments = [_leaf(name, leaf) for name, leaf in named]
    constants = [
        {**_leaf(f"captured/{index}", leaf), "value": leaf.numpy().tolist()} for index, leaf in enumerate(captured)
    ]
    return text, {"arguments": arguments + constants, "results": results}


def portable(text: str) -> str:
    """The program without the lines of code that each operation came from, and as compilers of other versions read it.

    They disagree on how many booleans are in a byte, so large constants of them are spelled out.
    """

    def spelled_out(found: re.Match[str]) -> str:
        shape = [int(size) for size in found["shape"].split("x")]
        packed = np.frombuffer(bytes.fromhex(found["bits"]), np.uint8)
        if len(packed) != math.ceil(math.prod(shape) / 8):
            return found[0]
        bits = np.unpackbits(packed, count=math.prod(shape), bitorder="little").astype(bool)
        return f"dense<{str(bits.reshape(shape).tolist()).lower()}> : tensor<{found['shape']}xi1>"

    text = tf.mlir.experimental.run_pass_pipeline(text, "strip-debuginfo", show_debug_info=False)
    return _PACKED.sub(spelled_out, text)


def _training_step(agent: Agent, env: Any) -> tuple[Callable[..., tuple[Nest, Nest]], tuple]:
    """An iteration, and the specifications of its arguments."""
    key = random.key(0)
    if agent.schedule.is_offline:
        return loops.offline_step(agent), (_specs(loops.init_offline_state(agent, key)),)
    if isinstance(env, Env):
        return loops.train_step(agent, env), (_specs(loops.init_state(agent, env, key)),)
    state = _specs(loops.init_host_state(agent, key))
    return loops.host_step(agent), (state, _trajectory(agent, env.spec, state.agent.policy))


def _trajectory(agent: Agent, spec: EnvSpec, policy: Nest) -> Transition:
    """The specification of what an agent learns from."""
    length, num_envs = agent.schedule.rollout_length, agent.schedule.num_envs
    observation, actor_state = _ahead(num_envs, struct.space_spec(spec.observation_space)), agent.init_actor(num_envs)
    act = lambda policy, observation, key: agent.act(policy, actor_state, observation, key, "train")
    traced = tf.function(act, autograph=False)
    acted = _specs(traced.get_concrete_function(policy, observation, tf.TensorSpec([2], tf.uint32)).structured_outputs)
    reward, flag = (tf.TensorSpec([num_envs], dtype) for dtype in (tf.float32, tf.bool))
    return _ahead(length, Transition(observation, acted.action, reward, flag, flag, observation, acted.extras))


def _specs(nest: Nest) -> Nest:
    return tf.nest.map_structure(lambda leaf: tf.TensorSpec(leaf.shape, leaf.dtype), nest)


def _ahead(size: int, specs: Nest) -> Nest:
    return tf.nest.map_structure(lambda spec: tf.TensorSpec([size, *spec.shape], spec.dtype), specs)


def _leaf(name: str, leaf: Any) -> dict[str, Any]:
    return {"name": name, "shape": list(leaf.shape), "dtype": leaf.dtype.name}
