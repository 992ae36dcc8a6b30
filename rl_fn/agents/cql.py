"""Conservative Q-learning, CQL(H): SAC from a data set, whose critics hold actions that are not in it to be worse.

Kumar, Zhou, Tucker and Levine (2020), "Conservative Q-learning for offline reinforcement learning".
"""

from __future__ import annotations

import dataclasses
import functools
import math

import tensorflow as tf
from gymnasium import spaces

from rl_fn import learning, losses, random
from rl_fn.agents import sac
from rl_fn.agents.base import Agent
from rl_fn.agents.control import bounded_box
from rl_fn.agents.hparams import field, takes_network
from rl_fn.agents.offline import OfflineHParams
from rl_fn.learning import SoftPolicy, SquashedPolicy
from rl_fn.struct import EnvSpec, Scalar, Transition


@dataclasses.dataclass(frozen=True)
class CQLHParams(OfflineHParams, sac.SACHParams):
    actor_learning_rate: Scalar = 1e-4
    critic_learning_rate: Scalar = 3e-4
    noise_damping: Scalar = field(1.0, "Always 1: nobody acts while it learns.", low=1.0, high=1.0)
    conservatism: Scalar = field(5.0, "Alpha: the weight of the regulariser.", low=0.0)
    num_sampled: int = field(10, "Actions of a Box that are drawn for it, uniformly and by the policy each.", low=1)


def regularizer(
    critics: sac.Critics, batch: sac.Batch, key: random.Key, squashed: SquashedPolicy | None, num_sampled: int
) -> tf.Tensor:
    """How much the critics prefer other actions to the data's, a scalar: Kumar et al. (2020), equation 4.

    The sum over discrete actions is exact. Of a Box it is estimated as in appendix F, by uniform actions and those of
    the policy for the successors.

    Args:
      critics: inputs to values `[N, C, A]`, of a Box `[N, C, 1]`.
      batch: what was sampled.
      key: of the actions.
      squashed: the policy of a Box.
      num_sampled: how many actions of each kind.
    """
    items, inputs = batch.sample.items, batch.inputs
    if squashed is None:
        q = critics(inputs)
        actions = tf.tile(items.action[:, tf.newaxis], [1, q.shape[1]])
        return tf.reduce_mean(tf.reduce_sum(losses.cql_loss(q, actions), axis=-1))
    box, keys = squashed.box, tf.unstack(random.split(key))
    num, width = inputs.shape[0], num_sampled * inputs.shape[0]
    repeat = lambda x: tf.reshape(tf.tile(x[tf.newaxis], [num_sampled, 1, 1]), [width, x.shape[-1]])
    drawn = squashed.sample(repeat(batch.next_outputs), keys[0])
    uniform = 2.0 * random.uniform(keys[1], [width, box.size]) - 1.0
    everywhere = tf.fill([width], -box.size * math.log(2.0))
    tried = tf.stop_gradient(tf.concat([uniform, drawn.action], axis=0))
    seen = tf.concat([repeat(inputs)] * 2, axis=0)
    q = tf.squeeze(critics(learning.with_action(seen, tried)), axis=-1)
    q = tf.reshape(q, [2 * num_sampled, num, q.shape[-1]])
    log_prob = tf.reshape(tf.concat([everywhere, drawn.log_prob], axis=0), [2 * num_sampled, num, 1])
    q_tm1 = tf.squeeze(critics(learning.with_action(inputs, box.to_unit(items.action))), axis=-1)
    ahead = lambda x: tf.transpose(tf.broadcast_to(x, q.shape), [1, 2, 0])
    return tf.reduce_mean(tf.reduce_sum(losses.sampled_cql_loss(ahead(q), ahead(log_prob), q_tm1), axis=-1))


def critic_loss(
    policy: SoftPolicy,
    critics: sac.Critics,
    targets: sac.Critics,
    batch: sac.Batch,
    alpha: tf.Tensor,
    key: random.Key,
    *,
    squashed: SquashedPolicy | None,
    hparams: CQLHParams,
) -> tuple[tf.Tensor, tuple[tf.Tensor, tf.Tensor]]:
    """As `sac.critic_loss`, with the regulariser."""
    value, more = sac.critic_loss(policy, critics, targets, batch, alpha, key)
    held = regularizer(critics, batch, random.fold_in(key, 0), squashed, hparams.num_sampled)
    return value + hparams.conservatism * held, more


@takes_network
def make(
    spec: EnvSpec,
    hparams: CQLHParams,
    *,
    data: Transition | None = None,
    critic_loss: sac.Loss = critic_loss,
    actor_loss: sac.Loss = sac.actor_loss,
) -> Agent:
    """Makes a CQL agent of a data set, of the losses above or others.

    Raises:
      ValueError: if the action space is neither Discrete nor a Box with finite bounds, or the data are not of that
        environment.
    """
    hparams = hparams.of_size(data)
    box = isinstance(spec.action_space, spaces.Box)
    squashed = learning.squashed_policy(bounded_box("cql", spec)) if box else None
    held = functools.partial(critic_loss, squashed=squashed, hparams=hparams)
    agent = sac.make(spec, hparams, critic_loss=held, actor_loss=actor_loss, name="cql")
    return hparams.filled(agent, spec, data)
