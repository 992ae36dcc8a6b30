"""Randomised ensembled double Q-learning, REDQ: SAC with many critics and many gradient steps.

Chen, Wang, Zhou and Ross (2021), "Randomized ensembled double Q-learning: learning fast without a model".
"""

from __future__ import annotations

import dataclasses
import functools

import tensorflow as tf

from rl_fn import learning, networks, random
from rl_fn.agents import sac
from rl_fn.agents.base import Agent
from rl_fn.agents.hparams import field, takes_network
from rl_fn.learning import SoftPolicy
from rl_fn.struct import EnvSpec


@dataclasses.dataclass(frozen=True)
class REDQHParams(sac.SACHParams):
    gradient_steps: int = 20
    policy_delay: int = 20
    num_critics: int = field(10, "Critics that learn.", low=1)
    num_targets: int = field(2, "Critics, drawn for each gradient step, of which the smallest value counts.", low=1)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.num_targets > self.num_critics:
            raise ValueError(f"num_targets is {self.num_targets}, expected at most num_critics = {self.num_critics}")

    def make_critics(self, num_outputs: int) -> networks.KeyedNetwork:
        """Makes the critics, from inputs `[N, F]` to `[N, C, num_outputs]`."""
        return learning.keyless(learning.critics(self.make_mlp(num_outputs), self.num_critics))


def critic_loss(
    policy: SoftPolicy,
    critics: sac.Critics,
    targets: sac.Critics,
    batch: sac.Batch,
    alpha: tf.Tensor,
    key: random.Key,
    *,
    num_targets: int,
) -> tuple[tf.Tensor, tuple[tf.Tensor, tf.Tensor]]:
    """The loss of all critics: Chen et al. (2021), algorithm 1, line 7: a few, drawn at random, give the target.

    Args:
      policy: as of `sac.critic_loss`, and so are the others.
      critics: see there.
      targets: see there.
      batch: see there.
      alpha: see there.
      key: of the successors' actions, and of what is drawn.
      num_targets: M, how many targets are drawn.

    Returns:
      As `sac.critic_loss`.
    """
    action_key, subset_key = tf.unstack(random.split(key))

    def some(inputs: tf.Tensor) -> tf.Tensor:
        values = targets(inputs)
        return tf.gather(values, random.permutation(subset_key, values.shape[1])[:num_targets], axis=1)

    return sac.critic_loss(policy, critics, some, batch, alpha, action_key)


def actor_loss(
    policy: SoftPolicy, critics: sac.Critics, inputs: tf.Tensor, outputs: tf.Tensor, alpha: tf.Tensor, key: random.Key
) -> tuple[tf.Tensor, tf.Tensor]:
    """As `sac.actor_loss`, with the mean of all critics: Chen et al. (2021), algorithm 1, line 11."""
    mean = lambda inputs: tf.reduce_mean(critics(inputs), axis=1, keepdims=True)
    return sac.actor_loss(policy, mean, inputs, outputs, alpha, key)


@takes_network
def make(
    spec: EnvSpec,
    hparams: REDQHParams,
    *,
    critic_loss: sac.Loss = critic_loss,
    actor_loss: sac.Loss = actor_loss,
    name: str = "redq",
) -> Agent:
    """Makes a REDQ agent, of the losses above or others.

    Raises:
      ValueError: if the action space is neither Discrete nor a Box with finite bounds; it says whose (`name`).
    """
    of_some = functools.partial(critic_loss, num_targets=hparams.num_targets)
    return sac.make(spec, hparams, critic_loss=of_some, actor_loss=actor_loss, name=name)
