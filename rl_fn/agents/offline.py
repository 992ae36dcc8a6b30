"""Groups of hyper-parameters of agents that learn from a data set, and how they are given one."""

from __future__ import annotations

import dataclasses
from typing import Any, NamedTuple

import gymnasium
import numpy as np
import tensorflow as tf
from gymnasium import spaces

from rl_fn import networks, policies, random, replay, struct
from rl_fn.agents.base import Agent, Mode, Schedule
from rl_fn.agents.groups import ActorCriticHParams, Inputs, ReplayHParams
from rl_fn.agents.hparams import HParams, field
from rl_fn.learning import OffPolicyPolicy
from rl_fn.struct import EnvSpec, Nest, Scalar, Transition


@dataclasses.dataclass(frozen=True)
class OfflineHParams(ReplayHParams):
    """Of learning from a data set alone: all steps are gradient steps."""

    train_steps: int = field(100_000, "Gradient steps of the whole run.", low=1, high=2**62)
    num_envs: int = field(1, "No environment is stepped while such an agent learns.", low=1, high=1)
    rollout_length: int = field(1, "Always 1: there are no rollouts.", low=1, high=1)
    actor_lag: int = field(0, "Always 0: nobody acts while it learns.", low=0, high=0)
    learning_starts: int = field(1, "All of the data set is there from the start.", low=1, high=1)
    replay_capacity: int = field(1, "Steps of the data set; told by the data set itself.", low=1)
    batch_size: int = field(256, "Transitions per gradient step.", low=1)
    gradient_steps: int = field(100, "Gradient steps of an iteration, between which nothing is reported.", low=1)

    def __post_init__(self) -> None:
        HParams.__post_init__(self)  # a batch may be larger than a data set, whose size is not known here

    @property
    def schedule(self) -> Schedule:
        """What loops want to know of an agent with these hyper-parameters."""
        return Schedule(num_envs=0, rollout_length=self.gradient_steps)

    def make_agent_with_state(self, buffer: replay.Replay, *args: Any, **more: Any) -> Agent:
        """As `ReplayHParams.make_agent_with_state`; nothing is added to what the buffer holds."""
        return super().make_agent_with_state(buffer, *args, **{**more, "to_items": None, "min_items": 1})

    def of_size(self, data: Transition | None) -> Any:
        """These hyper-parameters for a data set.

        Raises:
          ValueError: if it has no more steps than `n_step` needs, or `replay_capacity` was said to be another.
        """
        if data is None:
            return self
        size = len(data.reward)
        if self.replay_capacity not in (1, size):
            raise ValueError(f"replay_capacity is {self.replay_capacity}, expected the {size} steps of the data set")
        if size < self.n_step:
            raise ValueError(f"the data set has {size} steps, expected at least n_step = {self.n_step}")
        return self.override(replay_capacity=size)

    def filled(self, agent: Agent, spec: EnvSpec, data: Transition | None) -> Agent:
        """The agent with a data set in its replay; an agent without one can act, and learns nothing.

        Args:
          agent: made with `of_size(data)`.
          spec: of the environment that the data are from.
          data: steps `[N, ...]` in their order, such as `replay.from_minari` returns, without extras.

        Raises:
          ValueError: if they are not of that environment.
        """
        if data is None:
            return agent
        check_data(spec, data)
        steps = tf.nest.map_structure(lambda leaf: tf.constant(np.asarray(leaf)[:, np.newaxis]), data)
        buffer = self.make_replay(spec)

        def init(key: random.Key) -> Any:
            state = agent.init(key)
            return state._replace(replay=buffer.cut(buffer.add(state.replay, steps)))

        return agent._replace(init=init)


class Imitator(NamedTuple):
    """A policy and a value in one network."""

    network: networks.ActorCritic
    head: policies.PolicyHead
    input_spec: tf.TensorSpec
    to_inputs: Inputs

    def outputs(self, params: Nest, observation: Nest) -> tuple[tf.Tensor, tf.Tensor]:
        """Those of the policy `[N, P]`, and values `[N]`."""
        return self.network.step(params, (), self.to_inputs(observation))[0]

    def log_prob(self, outputs: tf.Tensor, action: tf.Tensor) -> tf.Tensor:
        """Log-probabilities `[N]` of a data set's actions, as the environment takes them."""
        return self.head.distribution(outputs).log_prob(self.head.to_draw(action))

    def choose(self, policy: OffPolicyPolicy, observation: Nest, key: random.Key, mode: Mode) -> tf.Tensor:
        """Actions: the most likely ones in evaluation."""
        distribution = self.head.distribution(self.outputs(policy.params, observation)[0])
        draw = policies.mode(distribution) if mode == "eval" else policies.sample(key, distribution)
        return self.head.to_action(draw)


@dataclasses.dataclass(frozen=True)
class ImitationHParams(OfflineHParams, ActorCriticHParams):
    """Of a policy that imitates a part of the data, and of a value that says which."""

    hidden_sizes: tuple[int, ...] = (256, 256)
    activation: str = "relu"
    entropy_cost: Scalar = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.memory != "none":
            raise ValueError(
                f"memory is {self.memory!r}, expected 'none': the steps of a data set are drawn one by one"
            )

    def make_imitator(self, spec: EnvSpec) -> Imitator:
        """Makes the network and what it needs; raises ValueError without a policy for the action space."""
        network, input_spec, to_inputs = self.make_network(spec)
        return Imitator(network, policies.policy_head(spec.action_space), input_spec, to_inputs)


def check_data(spec: EnvSpec, data: Transition) -> None:
    """Raises ValueError unless the steps of a data set are `[N, ...]` of that environment, finite and in its spaces."""
    expected = {
        "observation": struct.space_spec(spec.observation_space),
        "next_observation": struct.space_spec(spec.observation_space),
        "action": struct.space_spec(spec.action_space),
        "reward": tf.TensorSpec([], tf.float32),
        "terminated": tf.TensorSpec([], tf.bool),
        "truncated": tf.TensorSpec([], tf.bool),
    }
    for name, wanted in expected.items():
        given, leaves = dict(struct.named_leaves(getattr(data, name))), dict(struct.named_leaves(wanted))
        if given.keys() != leaves.keys():
            raise ValueError(f"the data set's {name} has the parts {sorted(given)}, {spec.name} has {sorted(leaves)}")
        for leaf, one in leaves.items():
            label, values = f"the data set's {name}/{leaf}".rstrip("/"), np.asarray(given[leaf])
            if values.shape[1:] != tuple(one.shape) or values.dtype != one.dtype.as_numpy_dtype:
                raise ValueError(
                    f"{label} is {values.dtype} {values.shape[1:]} per step, {spec.name} has "
                    f"{one.dtype.name} {tuple(one.shape)}"
                )
            if len(values) != len(data.reward):
                raise ValueError(f"{label} has {len(values)} steps, expected {len(data.reward)}, as many as its reward")
            if one.dtype.is_floating and not np.all(is_finite := np.isfinite(values)):
                raise ValueError(f"{label} is {values[~is_finite][0]} in a step, expected finite numbers")
    low, high = _bounds(spec.action_space)
    action = np.asarray(data.action)
    if not np.all(is_there := (low <= action) & (action <= high)):
        odd = action[~is_there][0]
        raise ValueError(f"the data set's action is {odd} in a step, {spec.name} has {spec.action_space}")


def _bounds(space: gymnasium.Space) -> tuple[Any, Any]:
    """What the parts of an action may be, in a Box but for rounding."""
    match space:
        case spaces.Discrete():
            return 0, space.n - 1
        case spaces.MultiDiscrete():
            return 0, space.nvec - 1
        case spaces.Box():
            low, high = space.low.astype(np.float64), space.high.astype(np.float64)
            slack = 1e-4 * (high - low)
            return low - slack, high + slack
    return 0, 1
