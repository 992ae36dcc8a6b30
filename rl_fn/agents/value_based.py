"""What agents share that learn values of discrete actions from replay: network, exploration, targets."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import NamedTuple

import tensorflow as tf

from rl_fn import learning, networks, policies, random, replay
from rl_fn.agents.base import Agent, Mode
from rl_fn.agents.groups import AdamHParams, EpsilonGreedyHParams, PrioritizedReplayHParams, TorsoHParams
from rl_fn.agents.hparams import field
from rl_fn.learning import Learned, OffPolicyPolicy
from rl_fn.struct import EnvSpec, Nest, Scalar

# (params, observation [N, ...], key of what is random, None for nothing) -> [N, A], or [N, A, ...] of distributions
Outputs = Callable[[Nest, Nest, random.Key | None], tf.Tensor]
# (params, target_params, sample, key) -> (scalar, learned)
Loss = Callable[[Nest, Nest, replay.Sample, random.Key], tuple[tf.Tensor, Learned]]


class ValueNetwork(NamedTuple):
    """From observations to what is known of the value of each action."""

    init: Callable[[random.Key], Nest]
    apply: Outputs


@dataclasses.dataclass(frozen=True)
class TargetHParams(AdamHParams):
    """Of an optimiser, and of target parameters that follow what it learns."""

    target_period: int = field(100, "Gradient steps between two moves of the target parameters.", low=1)
    target_step_size: Scalar = field(1.0, "How far the target moves then; 1 is a copy.", above=0.0, high=1.0)

    @property
    def target_update(self) -> learning.TargetUpdate:
        """How target parameters follow."""
        return learning.periodic(self.target_period, self.target_step_size)


@dataclasses.dataclass(frozen=True)
class ValueHParams(EpsilonGreedyHParams, PrioritizedReplayHParams, TorsoHParams, TargetHParams):
    """Of action values that are learned from replay."""

    rollout_length: int = 4
    gradient_steps: int = 32
    n_step: int = 3
    anneal_learning_rate: bool = True
    prioritized: bool = False
    stacked_frames: bool = field(False, "Whether observations stack frames along their last axis; each is kept once.")
    dueling: bool = field(False, "Whether value and advantages have a head each.")
    stream_sizes: tuple[int, ...] = field((), "Widths of the hidden layers of each head.")
    noise: str = field("none", "Noise of the heads' parameters, for exploration.", choices=("none", *networks.NOISES))
    noise_deviation: float = field(0.5, "Initial deviation of the noise; 0.017 where it is independent.", low=0)

    def make_store(self, spec: EnvSpec) -> replay.Store:
        """Makes what keeps the transitions: items are `replay.NStepTransition`s.

        Raises:
          ValueError: if stacks of frames take so much room that learning might never start.
        """
        if not self.stacked_frames:
            return super().make_store(spec)
        streams, n, gamma = self.num_envs, self.n_step, self.gamma
        capacity = -(-self.replay_capacity // streams) * streams
        make_store = lambda numbers: replay.n_step(capacity, numbers, num_streams=streams, n=n, gamma=gamma)
        step = self.step_spec(spec)
        store = replay.frames(capacity, step, num_streams=streams, make_store=make_store)
        # Where episodes are short, each step takes two frames.
        times = self.rollout_length + step.observation.shape[-1] + n
        if capacity < (needed := 2 * (self.learning_starts + times * streams)):
            raise ValueError(
                f"replay_capacity is {self.replay_capacity}, expected at least {needed} with stacked_frames: two "
                f"frames for each of learning_starts = {self.learning_starts} steps, a rollout, a stack and n_step"
            )
        return store

    def make_network(self, spec: EnvSpec, actions: int, num_atoms: int | None = None) -> ValueNetwork:
        """Makes the network, with outputs `[N, A]`, or `[N, A, num_atoms]`."""
        torso, input_spec, to_inputs = self.make_torso(spec)
        network = self.make_heads(torso, input_spec, actions, num_atoms)

        def apply(params: Nest, observation: Nest, key: random.Key | None = None) -> tf.Tensor:
            return network.apply(params, to_inputs(observation), key)

        return ValueNetwork(network.init, apply)

    def make_heads(
        self, torso: networks.Network, input_spec: Nest, actions: int, num_atoms: int | None = None
    ) -> ValueNetwork:
        """Puts heads on a torso, with outputs `[..., A]`, or `[..., A, num_atoms]`.

        Where there is noise, each key is a draw of it; without a key there is none.
        """
        heads = networks.dueling if self.dueling else networks.action_values
        plain = heads(torso, actions, self.stream_sizes, num_atoms)
        if self.noise == "none":
            without = lambda params, inputs, key: plain.apply(params, inputs)
            return ValueNetwork(lambda key: plain.init(key, input_spec), without)
        noisy = networks.noisy(plain, self.noise_deviation, plain=("torso",), kind=self.noise)

        def apply(params: Nest, inputs: Nest, key: random.Key | None) -> tf.Tensor:
            return noisy.apply(params if key is None else noisy.draw(params, key), inputs)

        return ValueNetwork(lambda key: noisy.init(key, input_spec), apply)

    def make_value_agent(
        self, spec: EnvSpec, init_params: Callable[[random.Key], Nest], q_values: Outputs, loss: Loss
    ) -> Agent:
        """Makes an agent that acts by values, epsilon-greedily while it trains.

        Args:
          spec: of the environment.
          init_params: makes what is learned.
          q_values: `(params, observation, key) -> [N, A]`, by which it acts; with no key in evaluation.
          loss: `(params, target_params, sample, key) -> (scalar, learned)`.
        """
        optimizer = self.make_optimizer(self.gradient_steps)

        def init(key: random.Key) -> learning.TargetLearner:
            return learning.init_target_learner(init_params(key), optimizer)

        def choose(policy: OffPolicyPolicy, observation: Nest, key: random.Key, mode: Mode) -> tf.Tensor:
            if mode == "eval":
                return policies.greedy(key, q_values(policy.params, observation, None))
            noise_key, choice_key = tf.unstack(random.split(key))
            q = q_values(policy.params, observation, noise_key)
            return policies.epsilon_greedy(choice_key, q, self.epsilon(policy.num_updates, q.shape[0]))

        gradient_step = learning.target_gradient_step(loss, optimizer, self.target_update)
        return self.make_agent(
            self.make_replay(spec), init, choose, gradient_step, beta=self.beta, report=self.report_epsilon
        )


@dataclasses.dataclass(frozen=True)
class DoubleQHParams(ValueHParams):
    """Of action values whose targets may choose and value with different networks."""

    double_q: bool = field(False, "Whether the online network chooses the action that the target network values.")


@dataclasses.dataclass(frozen=True)
class DistributionalHParams(DoubleQHParams):
    """Of distributions over returns, with the epsilon of Adam that Bellemare, Dabney and Munos (2017) have."""

    adam_epsilon: Scalar = 0.01 / 32
