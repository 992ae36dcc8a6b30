"""What agents share that act by Monte-Carlo tree search: which search, and with how much noise."""

from __future__ import annotations

import dataclasses

import tensorflow as tf

from rl_fn import planning, random
from rl_fn.agents.base import Mode
from rl_fn.agents.hparams import HParams, field
from rl_fn.struct import Nest, Scalar

SEARCHES = ("gumbel", "puct")


@dataclasses.dataclass(frozen=True)
class SearchHParams(HParams):
    """Of the search before each action."""

    search: str = field("gumbel", "Gumbel noise with sequential halving, or PUCT as MuZero.", choices=SEARCHES)
    num_simulations: int = field(32, "Simulations of a search.", low=1)
    eval_simulations: int = field(0, "Where nothing is explored, as in evaluations; 0 for as many.", low=0)
    max_considered: int = field(16, "Actions that sequential halving begins with.", low=1)
    dirichlet_fraction: Scalar = field(0.25, "Of the prior, that noise replaces (puct).", low=0.0, high=1.0)
    dirichlet_alpha: Scalar = field(0.3, "Concentration of that noise (puct).", above=0.0)
    temperature: Scalar = field(1.0, "Of actions drawn by visits (puct).", low=0.0)

    def find(
        self,
        params: Nest,
        key: random.Key,
        root: planning.Root,
        recurrent_fn: planning.RecurrentFn,
        mode: Mode,
        q_transform: planning.QTransform = planning.by_parent_and_siblings,
    ) -> planning.PolicyOutput:
        """Searches for what to do at B roots, without noise in mode "eval"; q_transform is that of PUCT."""
        explores = mode == "train"
        num_simulations = self.num_simulations if explores else self.eval_simulations or self.num_simulations
        if self.search == "gumbel":
            return planning.gumbel_muzero_policy(
                params,
                key,
                root,
                recurrent_fn,
                num_simulations,
                max_considered=self.max_considered,
                gumbel_scale=1.0 if explores else 0.0,
            )
        return planning.muzero_policy(
            params,
            key,
            root,
            recurrent_fn,
            num_simulations,
            q_transform=q_transform,
            dirichlet_fraction=self.dirichlet_fraction if explores else 0.0,
            dirichlet_alpha=self.dirichlet_alpha,
            temperature=self.temperature if explores else 0.0,
        )


def policy_loss(logits: tf.Tensor, weights: tf.Tensor) -> tf.Tensor:
    """The cross-entropy of policies `[..., A]` to weights that a search has found, `[...]`."""
    return -tf.reduce_sum(tf.stop_gradient(weights) * tf.nn.log_softmax(logits), axis=-1)
