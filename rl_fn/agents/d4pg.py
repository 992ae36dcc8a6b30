"""Distributed distributional deterministic policy gradients, D4PG: DDPG with a distribution over n-step returns.

Barth-Maron et al. (2018), "Distributed distributional deterministic policy gradients". Transitions of large errors
are replayed more often; its many actors are `num_envs`. For discrete actions, too, as `ddpg`.
"""

from __future__ import annotations

import dataclasses
import functools

import tensorflow as tf

from rl_fn import losses, replay
from rl_fn.agents import ddpg
from rl_fn.agents.base import Agent
from rl_fn.agents.hparams import field, takes_network
from rl_fn.struct import EnvSpec, Scalar


@dataclasses.dataclass(frozen=True)
class D4PGHParams(ddpg.DDPGHParams):
    n_step: int = 5
    prioritized: bool = True
    num_atoms: int = field(51, "Atoms of the distribution over returns.", low=2)
    v_min: Scalar = field(-150.0, "The smallest return.")
    v_max: Scalar = field(150.0, "The largest return.")

    def __post_init__(self) -> None:
        super().__post_init__()
        numbers = isinstance(self.v_min, float) and isinstance(self.v_max, float)
        if numbers and self.v_min >= self.v_max:
            raise ValueError(f"v_min is {self.v_min:g}, expected less than v_max = {self.v_max:g}")


def value_of(logits: tf.Tensor, atoms: tf.Tensor) -> tf.Tensor:
    """The means `[N]` of distributions `[N, K]` over atoms `[K]`."""
    return tf.linalg.matvec(tf.nn.softmax(logits), atoms)


def critic_loss(
    logits_tm1: tf.Tensor, logits_t: tf.Tensor, sample: replay.Sample, *, atoms: tf.Tensor
) -> tuple[tf.Tensor, tuple[tf.Tensor, tf.Tensor]]:
    """The loss of the critic: Barth-Maron et al. (2018), equation 3 and section 3.

    Args:
      logits_tm1: `[N, K]` of the critic, for the actions taken.
      logits_t: `[N, K]` of the target critic, for the actions of the target policy.
      sample: N items `replay.NStepTransition` (multi-step) and their weights `[N]` (prioritised).
      atoms: `[K]`, the returns.

    Returns:
      The weighted mean of the cross-entropies, a scalar; the cross-entropies `[N]`, which are the priorities, and the
      values `[N]` of the actions taken.
    """
    items = sample.items
    each = losses.categorical_td_learning(atoms, logits_tm1, items.reward, items.discount, atoms, logits_t)
    return tf.reduce_mean(sample.weights * each), (tf.stop_gradient(each), value_of(logits_tm1, atoms))


@takes_network
def make(
    spec: EnvSpec,
    hparams: D4PGHParams,
    *,
    critic_loss: ddpg.Loss = critic_loss,
    actor_loss: ddpg.Loss = ddpg.actor_loss,
) -> Agent:
    """Makes a D4PG agent, of the losses above and of `ddpg`, or others.

    Raises:
      ValueError: if the action space is neither Discrete nor a Box with finite bounds.
    """
    atoms = tf.linspace(hparams.v_min, hparams.v_max, hparams.num_atoms)
    return ddpg.make(
        spec,
        hparams,
        critic_loss=functools.partial(critic_loss, atoms=atoms),
        actor_loss=actor_loss,
        value_of=functools.partial(value_of, atoms=atoms),
        critic_outputs=hparams.num_atoms,
        name="d4pg",
    )
