"""What to do after a search: the policies of MuZero and of Gumbel MuZero."""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

import tensorflow as tf

from rl_fn import random
from rl_fn._src import arguments, scalars
from rl_fn._src.planning import q_transforms
from rl_fn._src.planning.q_transforms import QTransform
from rl_fn._src.planning.search import search
from rl_fn._src.planning.selection import (
    best_valid,
    gumbel_interior,
    gumbel_root,
    gumbel_scores,
    improved_logits,
    is_valid,
    puct,
)
from rl_fn._src.planning.tree import RecurrentFn, Root, Tree, checked_root, root_node
from rl_fn._src.shapes import check_shape, sizes_of
from rl_fn.struct import Nest, Scalar


class PolicyOutput(NamedTuple):
    """What a search has found."""

    action: tf.Tensor  # int32[B]
    action_weights: tf.Tensor  # float32[B, A]: a policy to learn from
    value: tf.Tensor  # float32[B]: of the root, the mean over the search
    tree: Tree


def muzero_policy(
    params: Nest,
    key: random.Key,
    root: Root,
    recurrent_fn: RecurrentFn,
    num_simulations: int,
    *,
    invalid_actions: tf.Tensor | None = None,
    max_depth: int | None = None,
    q_transform: QTransform = q_transforms.by_parent_and_siblings,
    dirichlet_fraction: Scalar = 0.25,
    dirichlet_alpha: Scalar = 0.3,
    c_init: Scalar = 1.25,
    c_base: Scalar = 19652.0,
    temperature: Scalar = 1.0,
) -> PolicyOutput:
    """Searches by upper confidence bounds, and draws an action by the visits of the root's children.

    Schrittwieser et al. (2020), "Mastering Atari, Go, chess and shogi by planning with a learned model", appendix B;
    that of AlphaZero (Silver et al., 2018) where the model is the environment's own.

    Args:
      params: of the model.
      key: `uint32[2]`.
      root: B roots.
      recurrent_fn: the model; see `RecurrentFn`.
      num_simulations: at least 1.
      invalid_actions: `bool[B, A]`, true where the root must not take an action; below, logits of -inf say so.
      max_depth: actions from the root; no limit unless given.
      q_transform: from action values to [0, 1].
      dirichlet_fraction: of the prior at the root that is noise.
      dirichlet_alpha: the concentration of the noise.
      c_init: how much the prior counts.
      c_base: the visits beyond which it counts more.
      temperature: of the draw; 0 takes the action of most visits.

    Returns:
      The action; the shares of the visits; the value; and the trees. Where no action is valid, they say nothing.

    Raises:
      TypeError: if what is to be a number is none.
      ValueError: if one is out of range; and as from `search`.
    """
    scalars.check("muzero_policy: dirichlet_fraction", dirichlet_fraction, "[0, 1]")
    scalars.check("muzero_policy: dirichlet_alpha", dirichlet_alpha, "(0, inf)")
    scalars.check("muzero_policy: c_init", c_init, "[0, inf)")
    scalars.check("muzero_policy: c_base", c_base, "(0, inf)")
    scalars.check("muzero_policy: temperature", temperature, "[0, inf)")
    root = checked_root(root)
    noise_key, search_key, draw_key = tf.unstack(random.split(key, 3))
    logits = masked(root.prior_logits, invalid_actions)
    noisy = root._replace(prior_logits=with_noise(noise_key, logits, dirichlet_fraction, dirichlet_alpha))
    selection = partial(puct, q_transform=q_transform, c_init=c_init, c_base=c_base)
    tree = search(params, search_key, noisy, recurrent_fn, selection, selection, num_simulations, max_depth)
    node = root_node(tree)
    visits = tf.cast(node.child_visits, logits.dtype)
    weights = visits / tf.reduce_sum(visits, axis=-1, keepdims=True)
    return PolicyOutput(draw(draw_key, weights, temperature), weights, node.value, tree)


def gumbel_muzero_policy(
    params: Nest,
    key: random.Key,
    root: Root,
    recurrent_fn: RecurrentFn,
    num_simulations: int,
    *,
    invalid_actions: tf.Tensor | None = None,
    max_depth: int | None = None,
    q_transform: QTransform = q_transforms.completed_by_mixed_value,
    max_considered: int = 16,
    gumbel_scale: Scalar = 1.0,
    gumbel: tf.Tensor | None = None,
) -> PolicyOutput:
    """Searches among the actions that Gumbel noise puts first, so that few simulations suffice to improve the policy.

    Danihelka et al. (2022), "Policy improvement by planning with Gumbel".

    Args:
      params: of the model.
      key: `uint32[2]`.
      root: B roots.
      recurrent_fn: the model; see `RecurrentFn`.
      num_simulations: at least 1.
      invalid_actions: `bool[B, A]`, true where the root must not take an action; below, logits of -inf say so.
      max_depth: actions from the root; no limit unless given.
      q_transform: from action values to what is added to the logits.
      max_considered: actions that sequential halving begins with.
      gumbel_scale: of the noise; 0 acts without any.
      gumbel: `[B, A]`, the noise before it is scaled; drawn unless given.

    Returns:
      The action; the improved policy; the value; and the trees. Where no action is valid, they say nothing.

    Raises:
      TypeError: if what is to be a number is none.
      ValueError: if one is out of range, or the noise has another shape than the logits; and as from `search`.
    """
    num_simulations = arguments.integer("gumbel_muzero_policy: num_simulations", num_simulations, 1)
    max_considered = arguments.integer("gumbel_muzero_policy: max_considered", max_considered, 1)
    scalars.check("gumbel_muzero_policy: gumbel_scale", gumbel_scale, "[0, inf)")
    root = checked_root(root)
    if gumbel is not None:
        check_shape("gumbel_muzero_policy: gumbel", tf.convert_to_tensor(gumbel), root.prior_logits.shape)
    noise_key, search_key = tf.unstack(random.split(key))
    logits = masked(root.prior_logits, invalid_actions)
    noise = gumbel_scale * (random.gumbel(noise_key, sizes_of(logits), logits.dtype) if gumbel is None else gumbel)
    tree = search(
        params,
        search_key,
        root._replace(prior_logits=logits),
        recurrent_fn,
        partial(
            gumbel_root,
            gumbel=noise,
            num_simulations=num_simulations,
            max_considered=min(max_considered, logits.shape[-1]),
            q_transform=q_transform,
        ),
        partial(gumbel_interior, q_transform=q_transform),
        num_simulations,
        max_depth,
    )
    node = root_node(tree)
    most = tf.reduce_max(node.child_visits, axis=-1)
    action = best_valid(gumbel_scores(node, noise, most, q_transform), logits)
    return PolicyOutput(action, tf.nn.softmax(improved_logits(node, q_transform)), node.value, tree)


def masked(prior_logits: tf.Tensor, invalid_actions: tf.Tensor | None) -> tf.Tensor:
    """Logits `[B, A]` with -inf where an action is invalid.

    Raises:
      ValueError: if the shapes differ.
    """
    prior_logits = tf.convert_to_tensor(prior_logits)
    if invalid_actions is None:
        return prior_logits
    invalid_actions = tf.cast(invalid_actions, tf.bool)
    if invalid_actions.shape != prior_logits.shape:
        raise ValueError(
            f"invalid_actions has shape {tuple(invalid_actions.shape)}, expected that of prior_logits, "
            f"{tuple(prior_logits.shape)}"
        )
    return tf.where(invalid_actions, tf.cast(float("-inf"), prior_logits.dtype), prior_logits)


def with_noise(key: random.Key, prior_logits: tf.Tensor, fraction: Scalar, alpha: Scalar) -> tf.Tensor:
    """Logits of a prior a part of which was replaced by Dirichlet noise over the valid actions.

    Silver et al. (2018), "A general reinforcement learning algorithm that masters chess, shogi, and Go through
    self-play", supplementary material.

    Args:
      key: `uint32[2]`.
      prior_logits: `[B, A]`, -inf where an action is invalid.
      fraction: the part.
      alpha: the concentration of the noise.

    Returns:
      `[B, A]`, with -inf where there was.
    """
    prior, valid = tf.nn.softmax(prior_logits), is_valid(prior_logits)
    noise = random.dirichlet(key, tf.where(valid, tf.cast(alpha, prior.dtype), tf.zeros_like(prior)))
    mixed = (1 - fraction) * prior + fraction * noise
    logits = tf.math.log(tf.maximum(mixed, prior.dtype.as_numpy_dtype(1e-37)))
    return tf.where(valid, logits, tf.cast(float("-inf"), prior.dtype))


def draw(key: random.Key, weights: tf.Tensor, temperature: Scalar) -> tf.Tensor:
    """Draws actions in proportion to `weights ** (1 / temperature)`; one of the largest by chance where that is 0.

    Args:
      key: `uint32[2]`.
      weights: `[B, A]`, not negative.
      temperature: at least 0.

    Returns:
      `int32[B]`.
    """
    logits = tf.math.log(weights)
    logits = logits - tf.reduce_max(logits, axis=-1, keepdims=True)
    return random.categorical(key, logits / tf.maximum(tf.cast(temperature, logits.dtype), 1e-6))
