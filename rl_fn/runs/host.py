"""Where a run's environments are stepped on the host."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from rl_fn import loops, random
from rl_fn.agents.base import Agent
from rl_fn.envs.host.base import HostEnv
from rl_fn.struct import Nest


class Host:
    """The agent's functions compiled, environments stepped between them.

    Args:
      agent: the agent.
      env: the environments of the training.
      eval_env: those of the evaluation, or a function that makes them of their number, which is called with the first
        evaluation.
      eval_episodes: whole episodes per evaluation.
    """

    def __init__(
        self, agent: Agent, env: HostEnv, eval_env: HostEnv | Callable[[int], HostEnv] | None, eval_episodes: int
    ):
        self._agent, self._env, self._eval_env, self._eval_episodes = agent, env, eval_env, eval_episodes
        self._made: list[HostEnv] = []
        self._play: Callable[..., loops.Evaluation] | None = None

    def init(self, key: random.Key) -> Nest:
        """See Runner."""
        return loops.init_host_state(self._agent, key)

    def compile(self, state: Nest) -> loops.Compiled:
        """See Runner."""
        return loops.compile(loops.host_step(self._agent), state)

    def train(self, compiled: loops.Compiled, iterations: int, **options: Any) -> Iterator[loops.Chunk]:
        """See Runner."""
        return loops.host_train(self._agent, self._env, compiled, iterations, **options)

    def evaluate(self, policy: Nest, keys: list[random.Key], stop: loops.Stop) -> loops.Evaluation:
        """See Runner."""
        if self._play is None:
            env: Any = self._eval_env
            if callable(env):
                env = env(min(self._eval_episodes, self._agent.schedule.num_envs))
                self._made.append(env)
            self._play = loops.host_evaluate(self._agent, env, self._eval_episodes)
        return self._play(policy, keys[0], stop)

    def close(self) -> None:
        """See Runner."""
        self._play = None
        while self._made:
            self._made.pop().close()
