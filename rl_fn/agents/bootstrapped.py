"""Bootstrapped DQN with randomised priors: several value functions, each followed for a whole episode.

Osband et al. (2016), "Deep exploration via bootstrapped DQN"; Osband, Aslanides and Cassirer (2018), "Randomized prior
functions for deep reinforcement learning". Each value function is the sum of a network that learns and one that never
does, has a target of its own, and sees its own part of the experience. In evaluation their mean acts.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import NamedTuple

import tensorflow as tf

from rl_fn import learning, losses, networks, policies, random, replay
from rl_fn.agents.base import ActorStep, Agent, Mode, num_actions
from rl_fn.agents.groups import ReplayHParams, TorsoHParams
from rl_fn.agents.hparams import field
from rl_fn.agents.value_based import TargetHParams
from rl_fn.learning import Learned, OffPolicyPolicy
from rl_fn.struct import EnvSpec, Nest, Scalar

QValues = Callable[[Nest, Nest], tf.Tensor]  # (params, observation [N, ...]) -> [K, N, A]


@dataclasses.dataclass(frozen=True)
class BootstrappedHParams(ReplayHParams, TorsoHParams, TargetHParams):
    num_envs: int = 4
    hidden_sizes: tuple[int, ...] = (64, 64)
    learning_starts: int = 128
    batch_size: int = 128
    gradient_steps: int = 4
    target_period: int = 4
    num_heads: int = field(10, "Value functions.", low=2)
    prior_scale: Scalar = field(5.0, "Of the networks that do not learn.", low=0.0)
    mask_probability: Scalar = field(0.5, "With which a value function sees a transition.", above=0.0, high=1.0)

    def make_store(self, spec: EnvSpec) -> replay.Store:
        """Makes what keeps the transitions, each with the value functions that see it."""
        step = self.step_spec(spec, mask=tf.TensorSpec([self.num_heads], tf.bool))
        return replay.n_step_items(
            self.replay_capacity, step, num_streams=self.num_envs, n=self.n_step, gamma=self.gamma
        )


class BootstrappedLearner(NamedTuple):
    learner: learning.TargetLearner
    prior_params: Nest  # never change

    @property
    def actor_params(self) -> tuple[Nest, Nest]:
        return self.learner.actor_params, self.prior_params


def loss(
    q_values: QValues,
    params: Nest,
    target_params: Nest,
    sample: replay.Sample,
    key: random.Key,
    hparams: BootstrappedHParams,
) -> tuple[tf.Tensor, Learned]:
    """The loss of a batch: Osband et al. (2018), algorithm 2, without noise of the rewards.

    Args:
      q_values: `(params, observation) -> [K, N, A]`, with the priors.
      params: what is learned.
      target_params: what values the successors.
      sample: N items `replay.NStepTransition` with the extra `mask` bool[N, K], and their weights `[N]`.
      key: of whatever is random.
      hparams: the agent's.

    Returns:
      The sum over value functions of their mean losses, a scalar, and what it has to say.
    """
    del key, hparams  # nothing is random
    batch = sample.items
    q_tm1, q_t = q_values(params, batch.observation), q_values(target_params, batch.next_observation)
    action, reward, discount = (x[tf.newaxis] for x in (batch.action, batch.reward, batch.discount))
    error = losses.q_learning(q_tm1, action, reward, discount, q_t)
    seen = tf.transpose(tf.cast(batch.extras["mask"], tf.float32))
    value = tf.reduce_sum(tf.reduce_mean(sample.weights * seen * losses.l2_loss(error), axis=1))
    priorities = tf.stop_gradient(tf.reduce_mean(tf.abs(error), axis=0))
    return value, Learned({"loss": value, "q_value": tf.reduce_mean(q_tm1)}, priorities)


def make(
    spec: EnvSpec, hparams: BootstrappedHParams, *, loss: Callable[..., tuple[tf.Tensor, Learned]] = loss
) -> Agent:
    """Makes a bootstrapped DQN agent, of the loss above or another.

    Raises:
      ValueError: if the action space is not Discrete.
    """
    actions = num_actions("bootstrapped", spec)
    torso, input_spec, to_inputs = hparams.make_torso(spec)
    heads = networks.ensemble(networks.action_values(torso, actions), hparams.num_heads)
    optimizer = hparams.make_optimizer(hparams.gradient_steps)

    def with_priors(prior_params: Nest) -> QValues:
        def q_values(params: Nest, observation: Nest) -> tf.Tensor:
            inputs = to_inputs(observation)
            prior = tf.stop_gradient(heads.apply(prior_params, inputs))
            return heads.apply(params, inputs) + hparams.prior_scale * prior

        return q_values

    def init(key: random.Key) -> BootstrappedLearner:
        key, prior_key = tf.unstack(random.split(key))
        learner = learning.init_target_learner(heads.init(key, input_spec), optimizer)
        return BootstrappedLearner(learner, heads.init(prior_key, input_spec))

    def init_actor(batch_size: int) -> tf.Tensor:
        return tf.fill([batch_size], -1)  # none yet: the first step of an episode draws one

    def act(policy: OffPolicyPolicy, head: tf.Tensor, observation: Nest, key: random.Key, mode: Mode) -> ActorStep:
        params, prior_params = policy.params
        q = with_priors(prior_params)(params, observation)  # [K, B, A]
        if mode == "eval":
            return ActorStep(policies.greedy(key, tf.reduce_mean(q, axis=0)), head, {})
        tie_key, head_key, mask_key = tf.unstack(random.split(key, 3), num=3)
        head = tf.where(head < 0, random.randint(head_key, head.shape, 0, hparams.num_heads), head)
        followed = tf.gather(tf.transpose(q, [1, 0, 2]), head, batch_dims=1)
        mask = random.bernoulli(mask_key, hparams.mask_probability, [*head.shape, hparams.num_heads])
        return ActorStep(policies.greedy(tie_key, followed), head, {"mask": mask})

    def gradient_step(
        state: BootstrappedLearner, sample: replay.Sample, key: random.Key
    ) -> tuple[BootstrappedLearner, Learned]:
        q_values = with_priors(state.prior_params)
        step = learning.target_gradient_step(
            lambda *args: loss(q_values, *args, hparams), optimizer, hparams.target_update
        )
        learner, learned = step(state.learner, sample, key)
        return state._replace(learner=learner), learned

    return hparams.make_agent_with_state(
        hparams.make_replay(spec), init, init_actor, act, gradient_step, to_items=lambda trajectory: trajectory
    )
