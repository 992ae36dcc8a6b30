"""What an agent is: three pure functions, and the schedule they were made for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, NamedTuple, Protocol

import tensorflow as tf
from gymnasium import spaces

from rl_fn import policies, random
from rl_fn._src.xla import products
from rl_fn.struct import EnvSpec, Metrics, Nest, Transition

Mode = Literal["train", "eval"]  # exploration is off in "eval"


class ActorStep(NamedTuple):
    """What an agent does in a step: `action`, what its actor carries on, and `extras` for the update."""

    action: tf.Tensor  # [B, ...]
    actor_state: Nest
    extras: dict[str, Nest]  # stored in the trajectory for the update


class AgentState(Protocol):
    """A NamedTuple of the agent's own, with at least this attribute."""

    @property
    def policy(self) -> Nest:
        """All that `act` needs."""


class Schedule(NamedTuple):
    """What an agent was built for; loops read it from the agent, so that nothing is told twice."""

    num_envs: int  # B, the environments stepped side by side; 0 of an agent that learns from a data set alone
    rollout_length: int  # T, the steps of each environment between two updates; without environments, gradient steps
    actor_lag: int = 0  # updates that the acting policy is behind the learner

    @property
    def steps(self) -> int:
        """Environment steps of one rollout, over all environments; gradient steps where there are none."""
        return max(self.num_envs, 1) * self.rollout_length

    @property
    def is_offline(self) -> bool:
        """Whether no environment is stepped, because the agent learns from a data set."""
        return self.num_envs == 0


class Agent(NamedTuple):
    """A learning algorithm. None of the functions touches anything but its arguments.

    Attributes:
      schedule: what it was made for: `num_envs` B and `rollout_length` T.
      init: `key -> agent_state`, a NamedTuple of tensors of any names, of which `policy` holds all that acting needs.
      init_actor: `batch_size -> actor_state`, what an actor carries from step to step, reset where an episode begins;
        `stateless` where that is nothing.
      act: `(policy, actor_state, observation [B, ...], key, mode) -> ActorStep(action [B, ...], actor_state, extras)`;
        mode "eval" is without exploration, and extras are a dict of what `update` finds in the trajectory.
      update: `(agent_state, trajectory, key) -> (agent_state, metrics)`. The trajectory is a `struct.Transition` with
        leading axes `[T, B]`; the state keeps its structure, shapes and dtypes; metrics are a dict of scalars.
      cut: `agent_state -> agent_state`, where all environments begin anew between two trajectories: what waits for its
        next steps ends there, as truncated.
      max_policy_lag: updates that the policy may be behind that acted in what `update` gets; None for any.
    """

    schedule: Schedule
    # key -> agent_state
    init: Callable[[random.Key], Any]
    # batch_size -> actor_state: what an actor carries from step to step, reset where an episode begins
    init_actor: Callable[[int], Nest]
    # (policy, actor_state, observation [B, ...], key, mode) -> ActorStep
    act: Callable[[Nest, Nest, Nest, random.Key, Mode], ActorStep]
    # (agent_state, trajectory [T, B, ...], key) -> (agent_state, metrics)
    update: Callable[[Any, Transition, random.Key], tuple[Any, Metrics]]
    # agent_state -> agent_state, where all environments begin anew between two trajectories: what waits for its next
    # steps ends here, as truncated
    cut: Callable[[Any], Any] = lambda state: state
    # Updates that the policy may be behind that acted in what `update` gets; None for any, as from a replay
    max_policy_lag: int | None = 1


def sampled(agent: Agent) -> Agent:
    """The agent with exploration on in mode "eval" too, as it acts in training."""

    def act(policy: Nest, actor_state: Nest, observation: Nest, key: random.Key, mode: Mode) -> ActorStep:
        del mode
        return agent.act(policy, actor_state, observation, key, "train")

    return agent._replace(act=act)


def in_precision(agent: Agent, precision: str) -> Agent:
    """The agent with the matrix products and convolutions of its networks in "float32" or "bfloat16".

    The outermost of several counts. Parameters, what lies between products, losses, gradients and the optimiser stay in
    float32. Keras models of the user's own have a precision of their own.

    Raises:
      ValueError: for another precision.
    """
    if precision not in products.PRECISIONS:
        raise ValueError(f"precision is {precision!r}, expected one of {', '.join(products.PRECISIONS)}")
    scoped = lambda function: products.in_precision(function, precision)
    return agent._replace(init=scoped(agent.init), act=scoped(agent.act), update=scoped(agent.update))


def stateless(batch_size: int) -> tuple:
    """The `init_actor` of an agent whose actors carry nothing from step to step."""
    del batch_size
    return ()


def actor_step(
    head: policies.PolicyHead,
    outputs: tf.Tensor,
    key: random.Key,
    mode: Mode,
    actor_state: Nest,
    draw: Callable[[random.Key, policies.Distribution], tf.Tensor] = policies.sample,
    /,
    **extras: Nest,
) -> ActorStep:
    """Chooses actions by the outputs of a network for a policy's head: the mode in "eval", else what `draw` says.

    Extras for the update are those given, the action before it was clipped and its log-probability.
    """
    distribution = head.distribution(outputs)
    if mode == "eval":
        return ActorStep(head.to_action(policies.mode(distribution)), actor_state, {})
    raw_action = draw(key, distribution)
    acted = {"raw_action": raw_action, "log_prob": distribution.log_prob(raw_action)}
    return ActorStep(head.to_action(raw_action), actor_state, {**acted, **extras})


def check_trajectory(schedule: Schedule, trajectory: Transition) -> None:
    """Raises ValueError unless a trajectory is `[rollout_length, num_envs]`, as the agent was made for."""
    given = tuple(trajectory.reward.shape)
    if given != (schedule.rollout_length, schedule.num_envs):
        raise ValueError(
            f"update: the trajectory has shape {given}, expected (rollout_length, num_envs) = "
            f"{(schedule.rollout_length, schedule.num_envs)}, which the agent was made for"
        )


def num_actions(agent: str, spec: EnvSpec) -> int:
    """The number of discrete actions; raises ValueError if the action space is of another kind."""
    if not isinstance(spec.action_space, spaces.Discrete):
        raise ValueError(f"{agent} needs a Discrete action space, {spec.name} has {spec.action_space}")
    return int(spec.action_space.n)


def check_players(agent: str, spec: EnvSpec, at_most: int = 1) -> None:
    """Raises ValueError for a game of more players, all of whom the same policy would play."""
    if spec.num_players > at_most:
        raise ValueError(
            f"{agent} learns for one player, and both sides of {spec.name} are played by the same policy: "
            "expected alphazero, or an opponent in the environment, such as --env_kwargs opponent=random"
        )


def check_divides(name: str, value: int, whole_name: str, whole: int) -> None:
    """Raises ValueError unless `value` divides `whole`."""
    if whole % value:
        raise ValueError(f"{name} is {value}, expected a divisor of {whole_name} = {whole}")
