"""Truncated quantile critics, TQC: SAC with distributions of returns, of whose targets the largest part is dropped.

Kuznetsov, Shvechikov, Grishin and Vetrov (2020), "Controlling overestimation bias with truncated mixture of
continuous distributional quantile critics". For Box actions.
"""

from __future__ import annotations

import dataclasses
import functools

import tensorflow as tf

from rl_fn import learning, losses, networks, random
from rl_fn.agents import redq, sac
from rl_fn.agents.base import Agent
from rl_fn.agents.control import bounded_box
from rl_fn.agents.hparams import field, takes_network
from rl_fn.learning import SoftPolicy, SquashedPolicy
from rl_fn.struct import EnvSpec


@dataclasses.dataclass(frozen=True)
class TQCHParams(sac.SACHParams):
    num_critics: int = field(5, "Critics.", low=1)
    num_quantiles: int = field(25, "Quantiles of each critic's distribution.", low=1)
    num_dropped: int = field(2, "Of the quantiles of each target critic, how many of the largest are dropped.", low=0)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.num_dropped >= self.num_quantiles:
            raise ValueError(
                f"num_dropped is {self.num_dropped}, expected less than num_quantiles = {self.num_quantiles}"
            )

    def make_critics(self, num_outputs: int) -> networks.KeyedNetwork:
        """Makes the critics, from inputs `[N, F]` to `[N, C, num_quantiles]`."""
        return learning.keyless(learning.critics(self.make_mlp(self.num_quantiles), self.num_critics))


def critic_loss(
    policy: SoftPolicy,
    critics: sac.Critics,
    targets: sac.Critics,
    batch: sac.Batch,
    alpha: tf.Tensor,
    key: random.Key,
    *,
    squashed: SquashedPolicy,
    num_dropped: int,
) -> tuple[tf.Tensor, tuple[tf.Tensor, tf.Tensor]]:
    """The loss of all critics: Kuznetsov et al. (2020), equations 9 to 12.

    Args:
      policy: as of `sac.critic_loss`, and so are the next ones.
      critics: quantiles `[N, C, K]` of the return.
      targets: of the successors.
      batch: what was sampled, and the outputs of the policy's network for the successors.
      alpha: the temperature.
      key: of the successors' actions.
      squashed: the policy.
      num_dropped: of each target critic, quantiles to drop; the largest of all critics together are.

    Returns:
      A scalar; the errors `[N, C]` of the means and the quantiles of the actions taken.
    """
    del policy
    sample, inputs, next_inputs, next_outputs = batch
    items, following = sample.items, squashed.sample(next_outputs, key)
    z_tm1 = critics(learning.with_action(inputs, squashed.box.to_unit(items.action)))
    z_t = targets(learning.with_action(next_inputs, following.action))
    num_critics, num_quantiles = z_tm1.shape[1:]
    kept = tf.sort(tf.reshape(z_t, [-1, num_critics * num_quantiles]))[:, : num_critics * (num_quantiles - num_dropped)]
    soft = kept - (alpha * following.log_prob)[:, tf.newaxis]
    target = tf.stop_gradient(items.reward[:, tf.newaxis] + items.discount[:, tf.newaxis] * soft)
    middles = (tf.range(num_quantiles, dtype=tf.float32) + 0.5) / num_quantiles
    each = losses.quantile_regression_loss(z_tm1, middles, target[:, tf.newaxis], huber_param=1.0)
    error = tf.reduce_mean(target, axis=-1, keepdims=True) - tf.reduce_mean(z_tm1, axis=-1)
    return tf.reduce_mean(sample.weights * tf.reduce_sum(each, axis=-1)) / num_quantiles, (error, z_tm1)


def actor_loss(
    policy: SoftPolicy, critics: sac.Critics, inputs: tf.Tensor, outputs: tf.Tensor, alpha: tf.Tensor, key: random.Key
) -> tuple[tf.Tensor, tf.Tensor]:
    """As `sac.actor_loss`, with the mean of all quantiles of all critics: Kuznetsov et al. (2020), equation 13."""
    mean = lambda inputs: tf.reduce_mean(critics(inputs), axis=-1, keepdims=True)
    return redq.actor_loss(policy, mean, inputs, outputs, alpha, key)


@takes_network
def make(
    spec: EnvSpec, hparams: TQCHParams, *, critic_loss: sac.Loss = critic_loss, actor_loss: sac.Loss = actor_loss
) -> Agent:
    """Makes a TQC agent, of the losses above or others.

    Raises:
      ValueError: if the action space is not a Box with finite bounds.
    """
    squashed = learning.squashed_policy(bounded_box("tqc", spec))
    truncated = functools.partial(critic_loss, squashed=squashed, num_dropped=hparams.num_dropped)
    return sac.make(spec, hparams, critic_loss=truncated, actor_loss=actor_loss, name="tqc")
