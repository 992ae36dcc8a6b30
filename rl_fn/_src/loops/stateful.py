"""An agent as an object, for a plain Python loop."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Any

import numpy as np
import tensorflow as tf
from gymnasium import spaces

from rl_fn import random
from rl_fn._src.loops.chunks import means
from rl_fn._src.loops.compile import compile
from rl_fn._src.loops.finite import check_observation, check_reward
from rl_fn._src.loops.host_actors import Acting, act_function
from rl_fn._src.loops.learners import HostState, host_step, init_host_state, make_learner, policy_and_key
from rl_fn.agents.base import ActorStep, Agent
from rl_fn.envs.host.border import Border, border
from rl_fn.struct import Nest, Transition


class StatefulAgent:
    """An agent as an object, for a plain Python loop over any Gymnasium or Gym environment.

        agent = StatefulAgent(dqn.make(border(env).spec, hparams), env)
        action = agent.act(observation)
        next_observation, reward, terminated, truncated, info = env.step(action)
        agent.observe(observation, action, reward, next_observation, terminated, truncated)
        metrics = agent.update()  # None until the steps of a rollout have been observed

    It holds the state and does nothing else: acting and updating are the agent's own functions, compiled, with the
    policy that the agent's schedule asks for. Actions and observations are the environment's, whatever they count from.

    Args:
      agent: the agent, made for one environment (`num_envs=1`).
      env: the environment, of which only the spaces are looked at; or an EnvSpec of its own spaces; or a Border.
      seed: the seed of everything random.
      explore: whether to explore, and to learn. Without, `observe` says only where episodes end, and `update` does
        nothing.

    Raises:
      ValueError: if the agent was made for several environments, or the spaces are not supported.
    """

    def __init__(self, agent: Agent, env: Any, seed: int = 0, explore: bool = True):
        if agent.schedule.num_envs != 1:
            raise ValueError(f"StatefulAgent: the agent's num_envs is {agent.schedule.num_envs}, expected 1")
        self._agent, self._explore = agent, explore
        self._border = env if isinstance(env, Border) else border(env)
        self._compiled = compile(host_step(agent), init_host_state(agent, random.key(seed)))
        self._learner = make_learner(agent, self._compiled)
        self._acting = Acting(agent, 1)
        self._acted: tuple[Any, ActorStep] | None = None  # the last action as the environment takes it, and all of it
        self._segment: list[Transition] = []
        self._in_episode = False  # whether the last step observed is still to be followed by another
        self._updates = 0
        self._names: list[str] | None = None  # of the extras, once that is known
        if explore:
            self._act = self._learner.acting()
        else:
            self._act = self._compiled.reader(act_function(agent, 1, "eval"), policy_and_key)

    @property
    def state(self) -> Any:
        """A copy of the agent's state. Where another is put in, a new episode begins with the next step.

        Raises:
          ValueError: for a state of another shape; the message names the leaf.
        """
        return self._compiled.read(lambda state: state.agent)

    @state.setter
    def state(self, state: Any) -> None:
        key, iteration = self._compiled.read(lambda state: (state.key, state.iteration))
        self._compiled.restore(HostState(state, key, iteration))
        self._segment, self._in_episode = [], self._explore  # what waits in the new state ends, too
        self.reset()
        self._learner.restart()
        if self._explore:
            self._act = self._learner.acting()

    def reset(self) -> None:
        """Begins an episode where the last was left before its end, which counts as truncated there."""
        self._acting.is_first = np.ones(1, bool)
        self._acted = None
        if self._in_episode and self._segment:
            self._segment[-1] = self._segment[-1]._replace(truncated=np.ones(1, bool))
        elif self._in_episode:
            self._cut()
        self._in_episode = False

    def act(self, observation: Nest) -> Any:
        """Chooses an action for one observation, as the environment gives it and takes it.

        Raises:
          ValueError: if the observation has another shape than its space says.
        """
        acted = self._acting(self._act, self._observed(observation))
        action = self._border.action_to_env(acted.action.numpy()[0])
        self._acted = action, acted
        return action

    def observe(
        self,
        observation: Nest,
        action: Any,
        reward: float,
        next_observation: Nest,
        terminated: bool,
        truncated: bool,
    ) -> None:
        """Takes in what an action led to; `next_observation` is the true successor, also at an end.

        The action may be another than `act` chose, or `act` not have been asked, unless the agent learns from what
        `act` says of its own actions, as those do that learn on their policy.

        Raises:
          ValueError: if that is so, if a shape is another than its space says, or a reward or an end more than one.
          NonFiniteError: if the reward or an observation is infinite or NaN.
        """
        ends = _one("terminated", terminated, bool), _one("truncated", truncated, bool)
        if self._explore:
            before = self._observed(observation)
            chosen, extras = self._chosen(before, action)
            transition = Transition(
                observation=before,
                action=chosen,
                reward=_one("reward", reward, np.float32),
                terminated=ends[0],
                truncated=ends[1],
                next_observation=self._observed(next_observation),
                extras=extras,
            )
            check_reward(transition.reward, _observed_place)
            check_observation(transition.next_observation, _observed_place)
            self._segment.append(transition)
        self._acted = None
        self._acting.is_first = ends[0] | ends[1]
        self._in_episode = self._explore and not self._acting.is_first[0]

    def update(self) -> dict[str, float] | None:
        """Updates the agent on every whole rollout observed so far.

        Returns:
          The means of its metrics, without those that had nothing to report; None if no rollout is complete.
        """
        length, updates = self._agent.schedule.rollout_length, 0
        while len(self._segment) >= length:
            segment, self._segment = self._segment[:length], self._segment[length:]
            self._learner.learn(tf.nest.map_structure(lambda *rows: np.stack(rows), *segment))
            updates += 1
        if not updates:
            return None
        sums = self._learner.drain()
        self._updates += updates
        self._acting.begin(self._updates)
        self._act = self._learner.acting()
        return {name: float(value) for name, value in means(sums, updates).items()}

    def _observed(self, observation: Nest) -> Nest:
        return tf.nest.map_structure(lambda leaf: leaf[np.newaxis], self._border.observation_to_agent(observation))

    def _chosen(self, observation: Nest, action: Any) -> tuple[np.ndarray, dict[str, Nest]]:
        """An action as the agent knows it, and what the agent said of it when it acted."""
        own = self._border.action_to_agent(action)[np.newaxis]
        if self._acted is None:
            if names := self._extras(observation):
                raise ValueError(
                    "observe: act has not been called since the last step, expected once before each: "
                    f"this agent learns from its {', '.join(names)}"
                )
            return own, {}
        chosen, acted = self._acted
        if np.array_equal(action, chosen):
            return acted.action.numpy(), acted.extras
        # In a Box, what is learned from is the draw, which people clip.
        if acted.extras and not isinstance(self._border.spec.action_space, spaces.Box):
            raise ValueError(
                f"observe: action is {action}, expected {chosen} as act chose: "
                f"this agent learns from what act says of its own ({', '.join(acted.extras)})"
            )
        return own, acted.extras

    def _extras(self, observation: Nest) -> list[str]:
        """The names of what the agent says of its actions."""
        if self._names is None:
            act = tf.function(act_function(self._agent, 1, "train"), autograph=False)
            held, actor = self._compiled.read(policy_and_key), self._agent.init_actor(1)
            inputs = held, actor, tf.zeros([1], tf.bool), observation, tf.zeros([2], tf.int32)
            inputs = tf.nest.map_structure(tf.convert_to_tensor, inputs)
            acted, _ = act.get_concrete_function(*inputs).structured_outputs
            self._names = list(acted.extras)
        return self._names

    @cached_property
    def _cut(self) -> Callable[[], None]:
        """Ends what waits in the agent for its next steps."""
        return self._compiled.replacer(lambda state: state._replace(agent=self._agent.cut(state.agent)))


def _observed_place(index: int) -> str:
    del index
    return "given to observe"


def _one(label: str, value: Any, dtype: type) -> np.ndarray:
    """One number or truth as a batch of one; environments give also arrays that hold one."""
    array: np.ndarray = np.asarray(value, dtype)
    if array.size != 1:
        raise ValueError(f"observe: {label} has shape {array.shape}, expected one number")
    return array.reshape([1])
