"""Deep Q-networks (Mnih et al., 2015), and what was added to them, each an option.

Double Q-learning (van Hasselt et al., 2016), dueling heads (Wang et al., 2016), targets over several steps (Sutton and
Barto, 2018, chapter 7), prioritised replay (Schaul et al., 2016) and noisy networks (Fortunato et al., 2018).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import tensorflow as tf

from rl_fn import losses, random, replay
from rl_fn.agents.base import Agent, num_actions
from rl_fn.agents.hparams import field
from rl_fn.agents.value_based import DoubleQHParams, Outputs
from rl_fn.learning import Learned
from rl_fn.struct import EnvSpec, Nest


@dataclasses.dataclass(frozen=True)
class DQNHParams(DoubleQHParams):
    double_q: bool = True
    loss: str = field("l2", "Loss of the TD error; huber turns linear beyond 1.", choices=("huber", "l2"))


def loss(
    q_values: Outputs, params: Nest, target_params: Nest, sample: replay.Sample, key: random.Key, hparams: DQNHParams
) -> tuple[tf.Tensor, Learned]:
    """The loss of a batch: van Hasselt et al. (2016), equation 4, or with one network Mnih et al. (2015), equation 2.

    Args:
      q_values: `(params, observation, key) -> [N, A]`; with no key there is no noise.
      params: what is learned.
      target_params: what values the successors.
      sample: N items `replay.NStepTransition` and their weights `[N]`.
      key: of the noise, where there is some: each of the three networks has its own.
      hparams: the agent's.

    Returns:
      The weighted mean, a scalar, and what it has to say.
    """
    batch, keys = sample.items, tf.unstack(random.split(key, 3), num=3)
    q_tm1 = q_values(params, batch.observation, keys[0])
    q_t = q_values(target_params, batch.next_observation, keys[1])
    selector = q_values(params, batch.next_observation, keys[2]) if hparams.double_q else q_t
    error = losses.double_q_learning(q_tm1, batch.action, batch.reward, batch.discount, q_t, selector)
    each = losses.huber_loss(error) if hparams.loss == "huber" else losses.l2_loss(error)
    value = tf.reduce_mean(sample.weights * each)
    return value, Learned({"loss": value, "q_value": tf.reduce_mean(q_tm1)}, tf.abs(error))


def make(spec: EnvSpec, hparams: DQNHParams, *, loss: Callable[..., tuple[tf.Tensor, Learned]] = loss) -> Agent:
    """Makes a DQN agent.

    Args:
      spec: of the environment.
      hparams: the hyper-parameters.
      loss: called as the one above.

    Raises:
      ValueError: if the action space is not Discrete.
    """
    network = hparams.make_network(spec, num_actions("dqn", spec))
    mine = lambda *args: loss(network.apply, *args, hparams)
    return hparams.make_value_agent(spec, network.init, network.apply, mine)
