"""How a run meets its environments: compiled together with the agent, or stepped on the host."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from rl_fn import loops, random
from rl_fn.agents.base import Agent
from rl_fn.envs.base import Env
from rl_fn.envs.host.base import HostEnv
from rl_fn.struct import Nest


class Runner(NamedTuple):
    """What a training run does with its environments; the arguments are those of `loops.train`."""

    on_host: bool  # whether the environments are no part of the state
    init: Callable[[random.Key], Nest]  # the state of one copy at the start
    compile: Callable[[Nest], loops.Compiled]
    train: Callable[..., Iterator[loops.Chunk]]
    # (policy, key of each copy) -> returns and lengths, both [copies, eval_episodes]
    evaluate: Callable[[Nest, list[random.Key]], tuple[np.ndarray, np.ndarray]]
    close: Callable[[], None]


def compiled_runner(agent: Agent, env: Env, hparams: Any, copies: int, eval_episodes: int) -> Runner:
    """Rollouts and updates in one program; several copies of that side by side."""
    step = loops.train_step(agent, env)
    play = loops.evaluate(agent, env, eval_episodes, copies=copies > 1)

    def evaluate(policy: Nest, keys: list[random.Key]) -> tuple[np.ndarray, np.ndarray]:
        returns, lengths, _ = play(policy, tf.stack(keys) if copies > 1 else keys[0])
        return returns.reshape(copies, -1), lengths.reshape(copies, -1)

    return Runner(
        on_host=False,
        init=lambda key: loops.init_state(agent, env, key),
        compile=lambda state: loops.compile(loops.vectorize(step) if copies > 1 else step, state),
        train=loops.train,
        evaluate=evaluate,
        close=lambda: None,
    )


def host_runner(
    agent: Agent, env: HostEnv, make_env: Callable[[int], HostEnv], hparams: Any, eval_episodes: int
) -> Runner:
    """Environments stepped on the host.

    Args:
      agent: the agent.
      env: the environments of the training.
      make_env: makes those of the evaluation, given their number.
      hparams: the agent's.
      eval_episodes: whole episodes per evaluation.
    """
    opened: list[HostEnv] = [env]
    plays: list[Callable[..., loops.Evaluation]] = []

    def evaluate(policy: Nest, keys: list[random.Key]) -> tuple[np.ndarray, np.ndarray]:
        if not plays:
            opened.append(make_env(min(eval_episodes, hparams.num_envs)))
            plays.append(loops.host_evaluate(agent, opened[-1], eval_episodes))
        returns, lengths, _ = plays[0](policy, keys[0])
        return returns[np.newaxis], lengths[np.newaxis]

    def train(compiled: loops.Compiled, iterations: int, **options: Any) -> Iterator[loops.Chunk]:
        return loops.host_train(agent, env, compiled, iterations, **options)

    def close() -> None:
        while opened:
            opened.pop().close()

    return Runner(
        on_host=True,
        init=lambda key: loops.init_host_state(agent, key),
        compile=lambda state: loops.compile(loops.host_step(agent), state),
        train=train,
        evaluate=evaluate,
        close=close,
    )
