"""A search as its steps: go down a tree, add what is found there, bring its value back."""

from __future__ import annotations

from typing import NamedTuple

import tensorflow as tf

from rl_fn import random
from rl_fn._src import arguments
from rl_fn._src.planning.selection import Selection
from rl_fn._src.planning.tree import (
    UNVISITED,
    ModelStep,
    RecurrentFn,
    Root,
    Tree,
    node_at,
    of_action,
    plant,
    put_rows,
    root_node,
    rows,
)
from rl_fn._src.scan import scan
from rl_fn._src.shapes import sizes_of
from rl_fn._src.xla import in_place
from rl_fn.struct import Nest


class Edge(NamedTuple):
    """Where a simulation leaves what is known of each tree."""

    node: tf.Tensor  # int32[B]
    action: tf.Tensor  # int32[B]
    depth: tf.Tensor  # int32[B]: actions from the root, this one included


def simulate(
    tree: Tree, root_selection: Selection, selection: Selection, key: random.Key, max_depth: int | None = None
) -> Edge:
    """Goes down each tree to an action that was not tried, or to the depth allowed.

    Args:
      tree: B trees.
      root_selection: which action the root takes.
      selection: which action the nodes below it take.
      key: of what is random in them.
      max_depth: actions from the root; no limit unless given.
    """
    max_depth = tree.visits.shape[0] if max_depth is None else max_depth
    root = root_node(tree)
    action = root_selection(root, key)
    child = of_action(root.children, action)
    edge = Edge(tf.zeros_like(action), action, tf.ones_like(action))

    def goes_on(edge: Edge, child: tf.Tensor) -> tf.Tensor:
        return (child != UNVISITED) & (edge.depth < max_depth)

    def deeper(level: tf.Tensor, edge: Edge, child: tf.Tensor) -> tuple[tf.Tensor, Edge, tf.Tensor]:
        going = goes_on(edge, child)
        node = node_at(tree, tf.maximum(child, 0))
        action = selection(node, random.fold_in(key, level))
        following = Edge(child, action, edge.depth + 1)
        edge = Edge(*[tf.where(going, new, old) for new, old in zip(following, edge, strict=True)])
        return level + 1, edge, tf.where(going, of_action(node.children, action), child)

    more = lambda level, edge, child: tf.reduce_any(goes_on(edge, child))
    return tf.while_loop(more, deeper, (tf.constant(1), edge, child))[1]


def expand(
    tree: Tree, edge: Edge, new: tf.Tensor, params: Nest, key: random.Key, recurrent_fn: RecurrentFn
) -> tuple[Tree, tf.Tensor, tf.Tensor]:
    """Asks the model for what follows, and keeps that as a new node.

    Args:
      tree: B trees.
      edge: from which nodes, by which actions.
      new: int32[], the index of the new node, the same in all trees.
      params: of the model.
      key: of what is random in it.
      recurrent_fn: the model.

    Returns:
      The trees; the node that was reached, int32[B], which is an older one where a limit of depth ended the way down;
      and the value that the model gives it, `[B]`.
    """
    embedding = tf.nest.map_structure(lambda leaf: rows(leaf, edge.node), tree.embeddings)
    answer = recurrent_fn(params, key, edge.action, embedding)
    if not (isinstance(answer, tuple) and len(answer) == 2 and isinstance(answer[0], ModelStep)):
        raise ValueError(f"recurrent_fn gives {answer}, expected a ModelStep and the embedding after it")
    step, embedding = answer
    _check_step(tree, step, embedding)
    sizes = sizes_of(tree.children)
    _, batch, actions = sizes
    flat = edge.node * (actions * batch) + tf.range(batch) * actions + edge.action
    children = tf.reshape(tree.children, [-1])
    there = in_place.take(children, flat)
    reached = tf.where(there == UNVISITED, new, there)

    def with_new(leaf: tf.Tensor, row: tf.Tensor) -> tf.Tensor:
        return in_place.put(leaf, tf.reshape(new, [1]), row[tf.newaxis])

    tree = tree._replace(
        raw_values=with_new(tree.raw_values, step.value),
        rewards=with_new(tree.rewards, step.reward),
        discounts=with_new(tree.discounts, step.discount),
        parents=with_new(tree.parents, edge.node),
        actions=with_new(tree.actions, edge.action),
        prior_logits=with_new(tree.prior_logits, step.prior_logits),
        children=tf.reshape(in_place.put(children, flat, reached), sizes),
        embeddings=tf.nest.map_structure(with_new, tree.embeddings, embedding),
    )
    return tree, reached, step.value


def backward(tree: Tree, leaf: tf.Tensor, value: tf.Tensor) -> Tree:
    """Counts a visit of nodes and of all that lead to them, each with the value seen from there.

    Schrittwieser et al. (2020), "Mastering Atari, Go, chess and shogi by planning with a learned model", equations 3
    and 4: G = reward + discount * G of the child, and a mean of these at each node.

    Args:
      tree: B trees.
      leaf: int32[B], where the simulations ended.
      value: `[B]`, what the model says of these nodes.
    """

    def counted(visits: tf.Tensor, values: tf.Tensor, index: tf.Tensor, value: tf.Tensor) -> tuple:
        going, place = index != UNVISITED, tf.maximum(index, 0)
        count, mean = rows(visits, place), rows(values, place)
        number = tf.cast(count, value.dtype)
        after = (mean * number + value) / (number + 1)
        visits = put_rows(visits, place, tf.where(going, count + 1, count))
        values = put_rows(values, place, tf.where(going, after, mean))
        value = rows(tree.rewards, place) + rows(tree.discounts, place) * value
        return visits, values, tf.where(going, rows(tree.parents, place), index), value

    start = (tree.visits, tree.values, leaf, value)
    more = lambda visits, values, index, value: tf.reduce_any(index != UNVISITED)
    visits, values, _, _ = tf.while_loop(more, counted, start)
    return tree._replace(visits=visits, values=values)


def search(
    params: Nest,
    key: random.Key,
    root: Root,
    recurrent_fn: RecurrentFn,
    root_selection: Selection,
    selection: Selection,
    num_simulations: int,
    max_depth: int | None = None,
) -> Tree:
    """Monte-Carlo tree search with a model, for a batch of roots side by side.

    Args:
      params: of the model.
      key: of what is random in choosing, and in the model.
      root: B roots.
      recurrent_fn: the model.
      root_selection: which action a simulation takes at the root.
      selection: which it takes below.
      num_simulations: how many, each of which adds a node.
      max_depth: actions from the root; no limit unless given.

    Returns:
      B trees of `num_simulations + 1` nodes.

    Raises:
      TypeError: if the root's logits and value have no floating-point dtype in common.
      ValueError: if a number is less than 1; or for parts of the root or of the model's steps of other shapes or dtypes
        than expected.
    """
    num_simulations = arguments.integer("search: num_simulations", num_simulations, 1)
    max_depth = None if max_depth is None else arguments.integer("search: max_depth", max_depth, 1)
    tree = plant(root, num_simulations + 1)

    def one(tree: Tree, new: tf.Tensor) -> tuple[Tree, None]:
        simulate_key, model_key = tf.unstack(random.split(random.fold_in(key, new)))
        edge = simulate(tree, root_selection, selection, simulate_key, max_depth)
        tree, reached, value = expand(tree, edge, new, params, model_key, recurrent_fn)
        return backward(tree, reached, value), None

    return scan(one, tree, tf.range(1, num_simulations + 1))[0]


def _check_step(tree: Tree, step: ModelStep, embedding: Nest) -> None:
    expected = (tree.rewards[0], tree.discounts[0], tree.prior_logits[0], tree.values[0])
    for name, given, wanted in zip(("reward", "discount", "prior_logits", "value"), step, expected, strict=True):
        if given.shape != wanted.shape or given.dtype != wanted.dtype:
            raise ValueError(
                f"recurrent_fn: {name} is {given.dtype.name} {tuple(given.shape)}, "
                f"expected {wanted.dtype.name} {tuple(wanted.shape)}"
            )
    tf.nest.assert_same_structure(embedding, tree.embeddings)
    for given, kept in zip(tf.nest.flatten(embedding), tf.nest.flatten(tree.embeddings), strict=True):
        if given.shape != kept.shape[1:] or given.dtype != kept.dtype:
            raise ValueError(
                f"recurrent_fn: an embedding is {given.dtype.name} {tuple(given.shape)}, "
                f"expected {kept.dtype.name} {tuple(kept.shape[1:])}"
            )
