"""Agents in batches of host environments: acting is compiled, the steps are in NumPy."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import tensorflow as tf

from rl_fn import random, struct
from rl_fn._src.loops import answers
from rl_fn._src.loops.chunks import Stop, Stopped, never
from rl_fn._src.loops.compile import Held
from rl_fn._src.loops.finite import check_observation, check_reward
from rl_fn._src.loops.rollout import Episodes
from rl_fn._src.xla import lent
from rl_fn.agents.base import ActorStep, Agent, Mode
from rl_fn.envs.base import Env
from rl_fn.envs.host.base import HostEnv
from rl_fn.envs.host.failures import EnvFailed
from rl_fn.envs.host.worker import GivenUp
from rl_fn.struct import Nest, Transition

_LOG = logging.getLogger(__name__)

# (actor_state, is_first bool[B], observation, clock) -> (ActorStep, clock): the clock is int32[2], the iteration
# and the step of its rollout, and comes back one step on.
Act: TypeAlias = Callable[[Nest, tf.Tensor, Nest, tf.Tensor], tuple[ActorStep, tf.Tensor]]


class PolicyAndKey(NamedTuple):
    """What acting reads of a state."""

    policy: Nest
    key: tf.Tensor  # uint32[2]: never changes


def act_function(agent: Agent, num_envs: int, mode: Mode) -> Callable[..., tuple[ActorStep, tf.Tensor]]:
    """Makes `(PolicyAndKey, actor_state, is_first, observation, clock) -> (ActorStep, clock)`, to be compiled."""

    def act(held: PolicyAndKey, actor: Nest, is_first: tf.Tensor, observation: Nest, clock: tf.Tensor) -> Any:
        policy, key = held
        rollout_key, _, _ = iteration_keys(key, clock[0])
        actor = struct.where(is_first, agent.init_actor(num_envs), actor)
        acted = answers.acted(agent, policy, actor, observation, random.fold_in(rollout_key, clock[1]), mode)
        return acted, tf.stack([clock[0], clock[1] + 1])

    return act


class Acting:
    """What acting on the host carries from step to step."""

    def __init__(self, agent: Agent, num_envs: int):
        self._actor = agent.init_actor(num_envs)
        self._nowhere = np.zeros(num_envs, bool)
        self._nowhere_tensor = tf.constant(self._nowhere)  # kept, because making a tensor takes longer than a step
        self._clock = tf.zeros([2], tf.int32)
        self.is_first = np.ones(num_envs, bool)  # of an episode: where the next step begins one

    def begin(self, iteration: int) -> None:
        """Begins the rollout of an iteration, whose number and steps determine what is random."""
        self._clock = tf.constant([iteration, 0])

    def __call__(self, act: Act, observation: Nest) -> ActorStep:
        """Acts once; whoever steps the environments then says by `is_first` where episodes ended."""
        is_first = self.is_first if self.is_first.any() else self._nowhere_tensor
        acted, self._clock = act(self._actor, is_first, observation, self._clock)
        self._actor, self.is_first = acted.actor_state, self._nowhere
        return acted


class Columns:
    """Nests of arrays that stand one after the other, `[length, ...]`.

    Args:
      row: one of them, whose shapes and dtypes all have.
      length: how many there are to be.
    """

    def __init__(self, row: Nest, length: int):
        self._like = row
        leaves = [np.asarray(leaf) for leaf in tf.nest.flatten(row)]
        self._arrays = [lent.empty([length, *leaf.shape], leaf.dtype) for leaf in leaves]

    def put(self, where: int | slice, rows: Nest) -> None:
        """Writes there."""
        for array, leaf in zip(self._arrays, tf.nest.flatten(rows), strict=True):
            array[where] = leaf

    def rows(self, where: int | slice) -> Nest:
        """What is there, and is not copied."""
        return tf.nest.pack_sequence_as(self._like, [array[where] for array in self._arrays])


class HostActors:
    """An agent in a batch of host environments: where they stand, and the episodes counted.

        actors = HostActors(agent, env, seed=0)
        trajectory = actors.rollout(learner.acting(), iteration)  # a Transition of arrays [T, B, ...]

    Args:
      agent: whose schedule says how long a rollout is.
      env: the environments, which begin new episodes now.
      seed: of the episodes.
      stop: asked before each step, and twice a second while environments in threads or processes are awaited; where
        it says true, Stopped is raised.

    Raises:
      TypeError: if the environment is a compiled one.
      Stopped: if that is asked for while the environments begin.
      EnvFailed, NonFiniteError: as `step`.
    """

    def __init__(self, agent: Agent, env: HostEnv, seed: int, stop: Stop = never):
        check_host("HostActors", env)
        self._env, self._stop, self._length = env, stop, agent.schedule.rollout_length
        if hasattr(env, "give_up"):
            env.give_up = stop
        self._observation = self._asked("reset", env.reset, seed)
        self._acting = Acting(agent, env.num_envs)
        self._shape = (env.num_envs,)
        self._return: np.ndarray = np.zeros(env.num_envs, np.float32)
        self._steps: np.ndarray = np.zeros(env.num_envs, np.int32)
        self._time = 0  # steps of each environment so far, of a training in all
        check_observation(self._observation, lambda index: f"environment {index} of {env.spec.name}, at its reset")
        self.last_return, self.last_length = self._return, self._steps  # as of the last step, before it began anew
        self._ended = np.zeros(3)  # episodes, their returns, their lengths

    @property
    def is_first(self) -> np.ndarray:
        """bool[B]: the environments whose next step is the first of an episode."""
        return self._acting.is_first

    def step(self, act: Act) -> Transition:
        """Acts once in every environment; the extras are tensors, all else is NumPy's.

        Raises:
          Stopped: if that was asked for.
          EnvFailed: if the environments raise.
          NonFiniteError: if a reward or an observation is infinite, NaN or missing; what it came from is named.
          ValueError: if the environments' rewards or ends are anything but one per environment.
        """
        if self._stop():
            raise self._stopped()
        acted = self._acting(act, self._observation)
        action = acted.action.numpy()
        outcome = self._asked("step", self._env.step, action)
        if not (outcome.reward.shape == outcome.terminated.shape == outcome.truncated.shape == self._shape):
            raise ValueError(
                f"{self._env.spec.name}: its step gives reward {outcome.reward.shape}, terminated "
                f"{outcome.terminated.shape} and truncated {outcome.truncated.shape}, expected {self._shape}"
            )
        transition = Transition(
            observation=self._observation,
            action=action,
            reward=outcome.reward,
            terminated=outcome.terminated,
            truncated=outcome.truncated,
            next_observation=outcome.next_observation,
            extras=acted.extras,
        )
        self._time += 1
        check_reward(outcome.reward, self._place)
        check_observation(outcome.next_observation, self._place)
        if outcome.observation is not outcome.next_observation:
            check_observation(outcome.observation, self._place)
        self._observation = outcome.observation
        self._acting.is_first = ended = outcome.terminated | outcome.truncated
        self.last_return, self.last_length = self._return + outcome.reward, self._steps + 1
        self._return, self._steps = self.last_return, self.last_length
        if ended.any():
            self._ended += [ended.sum(), self.last_return[ended].sum(), self.last_length[ended].sum()]
            self._return, self._steps = np.where(ended, 0, self._return), np.where(ended, 0, self._steps)
        return transition

    def rollout(self, act: Act, iteration: int) -> Transition:
        """Acts for the steps of a rollout, into new arrays `[T, B, ...]`.

        Args:
          act: from a learner's `acting`.
          iteration: the number of rollouts before this one, which determines what is random.

        Returns:
          A Transition whose observations and next observations may be parts of the same arrays.

        Raises:
          EnvFailed: as `step`; what has been done of the rollout is then lost.
        """
        self._acting.begin(iteration)
        self._time = iteration * self._length
        observations = Columns(self._observation, self._length + 1)
        observations.put(0, self._observation)
        others: Columns
        apart: dict[int, Nest] = {}  # successors that are not what the next step begins with
        for t in range(self._length):
            step = self.step(act)
            if step.next_observation is not self._observation:
                apart[t] = step.next_observation
            observations.put(t + 1, self._observation)
            self._observation = observations.rows(t + 1)  # where acting can read it without a copy
            row = (step.action, step.reward, step.terminated, step.truncated, step.extras)
            if t == 0:
                others = Columns(row, self._length)
            others.put(t, row)
        successors = observations
        if apart:
            successors = Columns(self._observation, self._length + 1)
            successors.put(slice(None), observations.rows(slice(None)))
            for t, row in apart.items():
                successors.put(t + 1, row)
        action, reward, terminated, truncated, extras = others.rows(slice(None))
        return Transition(
            observation=observations.rows(slice(None, -1)),
            action=action,
            reward=reward,
            terminated=terminated,
            truncated=truncated,
            next_observation=successors.rows(slice(1, None)),
            extras=extras,
        )

    def ended(self) -> Episodes:
        """The totals of the episodes that ended since the last call."""
        totals, self._ended = self._ended, np.zeros(3)
        return Episodes(*[np.asarray(total, np.float32) for total in totals])

    def _asked(self, what: str, method: Callable[[Any], Any], argument: Any) -> Any:
        try:
            return method(argument)
        except GivenUp:
            raise self._stopped() from None
        except EnvFailed:
            raise
        except Exception as error:
            details = traceback.format_exc()
            _LOG.error("%s", details.strip())
            raise EnvFailed(f"{self._env.spec.name} failed in its {what}", details) from error

    def _place(self, index: int) -> str:
        """Where something comes from that was found in the newest step."""
        return (
            f"environment {index} of {self._env.spec.name}, in step {self._steps[index] + 1} of its episode and "
            f"{self._time:,} in all"
        )

    def _stopped(self) -> Stopped:
        return Stopped(f"acting in {self._env.spec.name} was told to stop")


class HostPlayer:
    """Plays in host environments with exploration off, with one policy after the other.

    Raises:
      TypeError: if the environment is a compiled one.
    """

    def __init__(self, agent: Agent, env: HostEnv):
        check_host("HostPlayer", env)
        self._agent, self._env = agent, env
        self._held: Held | None = None
        self.act: Act  # with the policy of the last `begin`

    def begin(self, policy: Nest, key: random.Key, stop: Stop = never) -> HostActors:
        """Begins new episodes, to be played by `step(player.act)`."""
        env_key, act_key = tf.unstack(random.split(key))
        if self._held is None:
            self._held = Held(PolicyAndKey(policy, act_key))
            self.act = self._held.reader(act_function(self._agent, self._env.num_envs, "eval"))
        else:
            self._held.restore(PolicyAndKey(policy, act_key))
        return HostActors(self._agent, self._env, env_seed(env_key), stop)


def check_host(label: str, env: Any) -> None:
    """Raises TypeError for a compiled environment."""
    if isinstance(env, Env):
        raise TypeError(f"{label}: {env.spec.name} is a compiled environment, expected a host one; see `train_step`")


def iteration_keys(key: random.Key, iteration: tf.Tensor) -> list[random.Key]:
    """The keys of an iteration's rollout, of its update, and of the environments where a run begins with it."""
    return tf.unstack(random.split(random.fold_in(key, iteration), 3))


def env_seed(key: random.Key) -> int:
    """The seed of host environments."""
    return int(random.bits(key).numpy())
