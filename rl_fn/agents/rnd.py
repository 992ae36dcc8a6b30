"""Random network distillation (Burda et al., 2019) on top of any agent: a bonus for observations that are new.

`with_novelty` turns an agent into one that is rewarded for novelty too; `make` does so with PPO. Two things are simpler
than in the paper: one value is of both rewards together, and the bonus ends with the episode, as the rewards do.
"""

from __future__ import annotations

import dataclasses
from typing import Any, NamedTuple

import tensorflow as tf

from rl_fn import intrinsic, learning, networks, optimizers, random
from rl_fn._src import scalars
from rl_fn.agents import ppo
from rl_fn.agents.base import Agent
from rl_fn.agents.hparams import field, takes_network
from rl_fn.learning import Trained
from rl_fn.normalization import RewardNormalizer, RunningMoments
from rl_fn.struct import EnvSpec, Metrics, Nest, Scalar, Transition


@dataclasses.dataclass(frozen=True)
class RNDHParams(ppo.PPOHParams):
    gamma: Scalar = field(0.99, "Discount per step, also of the returns that scale the bonus.", low=0.0, high=0.9999)
    novelty_cost: Scalar = field(0.5, "Weight of the bonus, in deviations of its returns.", low=0.0)
    novelty_sizes: tuple[int, ...] = field((64, 64), "Widths of the layers of both networks; the last one is compared.")
    novelty_learning_rate: Scalar = field(1e-3, "Adam's step size for the network that learns.", above=0.0)


class RNDState(NamedTuple):
    agent: Any
    predictor: Trained
    target_params: Nest  # of the network that is imitated; they never change
    observations: RunningMoments
    bonuses: RewardNormalizer

    @property
    def policy(self) -> Nest:
        """That of the agent below."""
        return self.agent.policy


def with_novelty(
    agent: Agent, spec: EnvSpec, *, weight: Scalar, sizes: tuple[int, ...], learning_rate: Scalar, gamma: Scalar
) -> Agent:
    """Adds a bonus to the rewards that an agent learns from.

    Args:
      agent: any.
      spec: of the environment.
      weight: of the bonus, which is divided by the running deviation of its returns.
      sizes: the widths of the layers of both networks.
      learning_rate: Adam's step size for the network that learns.
      gamma: the discount of these returns, below 1: they have no end, and would grow until the bonus is nothing.

    Raises:
      ValueError: for another gamma.
    """
    scalars.check("with_novelty: gamma", gamma, "[0, 1)")
    input_spec, to_inputs = networks.flatten(spec.observation_space)
    network, optimizer = networks.mlp(sizes), optimizers.flatten(optimizers.adam(learning_rate))

    def init(key: random.Key) -> RNDState:
        keys = tf.unstack(random.split(key, 3))
        predictor = learning.init_trained(network.init(keys[1], input_spec), optimizer)
        moments, bonuses = RunningMoments.init(input_spec), RewardNormalizer.init(agent.schedule.num_envs)
        return RNDState(agent.init(keys[0]), predictor, network.init(keys[2], input_spec), moments, bonuses)

    def update(state: RNDState, trajectory: Transition, key: random.Key) -> tuple[RNDState, Metrics]:
        seen = to_inputs(trajectory.next_observation)
        moments = state.observations.update(seen)
        inputs = moments.normalize(seen, clip=5.0)
        target = network.apply(state.target_params, inputs)

        def loss(params: Nest) -> tuple[tf.Tensor, tf.Tensor]:
            error = intrinsic.random_network_distillation_loss(network.apply(params, inputs), target)
            return tf.reduce_mean(error), tf.stop_gradient(error)

        predictor, novelty = learning.minimise(loss, optimizer, state.predictor)
        bonuses = state.bonuses.update(novelty, tf.zeros_like(trajectory.is_last), gamma)
        bonus = weight * bonuses.normalize(novelty)
        inner, metrics = agent.update(state.agent, trajectory._replace(reward=trajectory.reward + bonus), key)
        metrics = {**metrics, "novelty": tf.reduce_mean(novelty), "bonus": tf.reduce_mean(bonus)}
        return RNDState(inner, predictor, state.target_params, moments, bonuses), metrics

    return agent._replace(init=init, update=update, cut=lambda state: state._replace(agent=agent.cut(state.agent)))


@takes_network
def make(spec: EnvSpec, hparams: RNDHParams) -> Agent:
    """Makes a PPO agent that is rewarded for novelty too; raises ValueError without a policy for the action space."""
    return with_novelty(
        ppo.make(spec, hparams),
        spec,
        weight=hparams.novelty_cost,
        sizes=hparams.novelty_sizes,
        learning_rate=hparams.novelty_learning_rate,
        gamma=hparams.gamma,
    )
