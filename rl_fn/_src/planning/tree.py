"""Search trees of a batch, kept in tensors, and what is known at one node of each."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, TypeAlias

import tensorflow as tf

from rl_fn import random
from rl_fn._src.shapes import sizes_of
from rl_fn._src.xla import in_place
from rl_fn._src.xla.ties import false_per_copy, tied
from rl_fn.struct import Nest

ROOT = 0
UNVISITED = -1  # the index of a child that is not there yet; also of the root's parent


class Root(NamedTuple):
    """Where a search begins."""

    prior_logits: tf.Tensor  # float32[B, A]; -inf where an action is invalid
    value: tf.Tensor  # float32[B]
    embedding: Nest  # [B, ...]: the state from which the model goes on


class ModelStep(NamedTuple):
    """What a model says of one step, and of the state that it leads to."""

    reward: tf.Tensor  # float32[B]
    discount: tf.Tensor  # float32[B]: 0 where the task ends; negative where the other player moves next
    prior_logits: tf.Tensor  # float32[B, A]: of the state after the step; -inf where an action is invalid
    value: tf.Tensor  # float32[B]: of the state after the step


# (params, key, action int32[B], embedding [B, ...]) -> (step, the embedding after it)
RecurrentFn: TypeAlias = Callable[[Nest, random.Key, tf.Tensor, Nest], tuple[ModelStep, Nest]]


class Tree(NamedTuple):
    """One tree per example. Nodes lead, as time does in trajectories: what is new is then one slice of memory."""

    visits: tf.Tensor  # int32[N, B]: simulations that went through a node or ended there; 0 where there is none
    values: tf.Tensor  # float32[N, B]: the mean of what they brought back
    raw_values: tf.Tensor  # float32[N, B]: what the model said
    rewards: tf.Tensor  # float32[N, B]: of the step to the node
    discounts: tf.Tensor  # float32[N, B]: of that step
    parents: tf.Tensor  # int32[N, B]
    actions: tf.Tensor  # int32[N, B]: the one that leads from the parent to the node
    prior_logits: tf.Tensor  # float32[N, B, A]
    children: tf.Tensor  # int32[N, B, A]: their indices, UNVISITED where there is none
    embeddings: Nest  # [N, B, ...]


class Node(NamedTuple):
    """One node of each tree, and what is known of its children: all that choosing an action needs."""

    visits: tf.Tensor  # int32[B]
    value: tf.Tensor  # float32[B]
    raw_value: tf.Tensor  # float32[B]
    prior_logits: tf.Tensor  # float32[B, A]; -inf where an action is invalid
    children: tf.Tensor  # int32[B, A]
    child_visits: tf.Tensor  # int32[B, A]
    q_values: tf.Tensor  # float32[B, A]: reward + discount * value; 0 where there was no visit


def plant(root: Root, num_nodes: int) -> Tree:
    """Trees of a root each, with room for so many nodes.

    Raises:
      TypeError: if its logits and value have no floating-point dtype in common.
      ValueError: if the leading axes of the root's parts differ.
    """
    prior_logits, value, embedding = checked_root(root)
    batch, actions = sizes_of(prior_logits)
    tie = false_per_copy((prior_logits, value, embedding))
    zeros = tied(tf.zeros([num_nodes, batch], value.dtype), tie)
    integers = tied(tf.zeros([num_nodes, batch], tf.int32), tie)

    def with_first(first: tf.Tensor) -> tf.Tensor:
        rest = tied(tf.zeros([num_nodes - 1, *sizes_of(first)], first.dtype), tie)
        return tf.concat([first[tf.newaxis], rest], axis=0)

    return Tree(
        visits=with_first(tf.ones([batch], tf.int32)),
        values=with_first(value),
        raw_values=with_first(value),
        rewards=zeros,
        discounts=zeros,
        parents=integers + UNVISITED,
        actions=integers + UNVISITED,
        prior_logits=with_first(prior_logits),
        children=tied(tf.fill([num_nodes, batch, actions], UNVISITED), tie),
        embeddings=tf.nest.map_structure(with_first, embedding),
    )


def rows(leaf: tf.Tensor, index: tf.Tensor) -> tf.Tensor:
    """Of `[N, B, ...]` the nodes int32[B], `[B, ...]`."""
    return in_place.take(_flat(leaf), _places(leaf, index))


def put_rows(leaf: tf.Tensor, index: tf.Tensor, new: tf.Tensor) -> tf.Tensor:
    """`[N, B, ...]` with the nodes int32[B] replaced by `[B, ...]`."""
    return tf.reshape(in_place.put(_flat(leaf), _places(leaf, index), new), sizes_of(leaf))


def node_at(tree: Tree, index: tf.Tensor) -> Node:
    """What is known at the nodes int32[B]."""
    children = rows(tree.children, index)
    there = children != UNVISITED
    batch = sizes_of(children)[0]
    places = tf.maximum(children, 0) * batch + tf.range(batch)[:, tf.newaxis]
    visits, values, rewards, discounts = (
        tf.gather(tf.reshape(leaf, [-1]), places) for leaf in (tree.visits, tree.values, tree.rewards, tree.discounts)
    )
    return Node(
        visits=rows(tree.visits, index),
        value=rows(tree.values, index),
        raw_value=rows(tree.raw_values, index),
        prior_logits=rows(tree.prior_logits, index),
        children=children,
        child_visits=tf.where(there, visits, 0),
        q_values=tf.where(there, rewards + discounts * values, tf.zeros_like(values)),
    )


def root_node(tree: Tree) -> Node:
    """What is known at the roots."""
    return node_at(tree, tf.zeros_like(tree.parents[0]))


def of_action(leaf: tf.Tensor, action: tf.Tensor) -> tf.Tensor:
    """Of `[B, A]` the entries of the actions int32[B]."""
    batch, actions = sizes_of(leaf)
    return tf.gather(tf.reshape(leaf, [-1]), tf.range(batch) * actions + action)


def _places(leaf: tf.Tensor, index: tf.Tensor) -> tf.Tensor:
    batch = sizes_of(leaf)[1]
    return index * batch + tf.range(batch)


def _flat(leaf: tf.Tensor) -> tf.Tensor:
    nodes, batch, *rest = sizes_of(leaf)
    return tf.reshape(leaf, [nodes * batch, *rest])


def checked_root(root: Root) -> Root:
    """A root of tensors; raises as `plant`."""
    root = Root(*tf.nest.map_structure(tf.convert_to_tensor, tuple(root)))
    prior_logits, value, embedding = root
    if prior_logits.shape.rank != 2:
        raise ValueError(f"root: prior_logits has shape {tuple(prior_logits.shape)}, expected [B, A]")
    if not prior_logits.dtype.is_floating or value.dtype != prior_logits.dtype:
        given = f"prior_logits are {prior_logits.dtype.name} and the value {value.dtype.name}"
        raise TypeError(f"root: {given}, expected one floating-point dtype")
    batch = prior_logits.shape[0]
    if value.shape != [batch]:
        raise ValueError(f"root: value has shape {tuple(value.shape)}, expected [B] = {(batch,)}")
    for leaf in tf.nest.flatten(embedding):
        if leaf.shape[:1] != [batch]:
            raise ValueError(f"root: an embedding has shape {tuple(leaf.shape)}, expected [B, ...] with B = {batch}")
    return root
