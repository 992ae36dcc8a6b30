"""Dropout Q-functions, DroQ: REDQ with two critics, in which dropout and layer normalisation take the part of many.

Hiraoka, Imagawa, Hashimoto, Onishi and Tsuruoka (2022), "Dropout Q-functions for doubly efficient reinforcement
learning".
"""

from __future__ import annotations

import dataclasses

from rl_fn import learning, networks
from rl_fn.agents import redq, sac
from rl_fn.agents.base import Agent
from rl_fn.agents.hparams import field, takes_network
from rl_fn.struct import EnvSpec, Scalar


@dataclasses.dataclass(frozen=True)
class DroQHParams(redq.REDQHParams):
    num_critics: int = 2
    dropout_rate: Scalar = field(0.01, "Probability that a unit of a critic drops out.", low=0.0, high=0.9)

    def make_critics(self, num_outputs: int) -> networks.KeyedNetwork:
        """Makes the critics, from inputs `[N, F]` to `[N, C, num_outputs]`; each drops units of its own."""
        critic = networks.dropout_mlp((*self.hidden_sizes, num_outputs), self.dropout_rate)
        return learning.keyed_critics(critic, self.num_critics)


@takes_network
def make(
    spec: EnvSpec,
    hparams: DroQHParams,
    *,
    critic_loss: sac.Loss = redq.critic_loss,
    actor_loss: sac.Loss = redq.actor_loss,
) -> Agent:
    """Makes a DroQ agent, of the losses of REDQ (Hiraoka et al., 2022, algorithm 2) or others.

    Raises:
      ValueError: if the action space is neither Discrete nor a Box with finite bounds.
    """
    return redq.make(spec, hparams, critic_loss=critic_loss, actor_loss=actor_loss, name="droq")
