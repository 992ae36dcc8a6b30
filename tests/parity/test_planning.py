"""Searches against mctx: the same random games, the same noise, and then the same visits and policies."""

import jax
import jax.numpy as jnp
import mctx
import numpy as np
import pytest
import tensorflow as tf

from rl_fn import planning, random

TREES, ACTIONS, SIMULATIONS, STATES = 1_000, 5, 32, 997

jax.config.update("jax_enable_x64", True)


def games(seed):
    """Games of a finite number of states: where each action leads, and what is said of every state."""
    rng = np.random.default_rng(seed)
    return {
        "successor": rng.integers(0, STATES, [STATES, ACTIONS]).astype(np.int32),
        "reward": rng.normal(size=[STATES, ACTIONS]),
        "discount": rng.choice([0.0, 0.9, 1.0, -1.0], [STATES, ACTIONS]),
        "logits": 2 * rng.normal(size=[STATES, ACTIONS]),
        "value": rng.normal(size=[STATES]),
    }


def roots(seed):
    rng = np.random.default_rng(1_000 + seed)
    invalid = rng.random([TREES, ACTIONS]) < 0.3
    invalid[:, 0] &= ~invalid.all(axis=-1)
    return {
        "prior_logits": rng.normal(size=[TREES, ACTIONS]),
        "value": rng.normal(size=[TREES]),
        "embedding": rng.integers(0, STATES, TREES).astype(np.int32),
    }, invalid


def ours_step(params, key, action, state):
    def at(name):
        return tf.gather(tf.reshape(params[name], [-1]), state * ACTIONS + action)

    successor = at("successor")
    logits, value = tf.gather(params["logits"], successor), tf.gather(params["value"], successor)
    return planning.ModelStep(at("reward"), at("discount"), logits, value), successor


def theirs_step(params, key, action, state):
    successor = params["successor"][state, action]
    step = mctx.RecurrentFnOutput(
        reward=params["reward"][state, action],
        discount=params["discount"][state, action],
        prior_logits=params["logits"][successor],
        value=params["value"][successor],
    )
    return step, successor


def assert_same(ours, theirs):
    summary = theirs.search_tree.summary()
    visits = planning.root_node(ours.tree).child_visits
    np.testing.assert_array_equal(visits, summary.visit_counts)
    np.testing.assert_allclose(ours.action_weights, theirs.action_weights, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(ours.value, summary.value, rtol=1e-9)
    np.testing.assert_array_equal(tf.transpose(ours.tree.visits), theirs.search_tree.node_visits)
    np.testing.assert_array_equal(tf.transpose(ours.tree.children, [1, 0, 2]), theirs.search_tree.children_index)


@pytest.mark.parametrize("max_depth", [None, 3])
def test_upper_confidence_bounds(max_depth):
    params, (root, invalid) = games(0), roots(0)
    noisy = planning.with_noise(random.key(1), planning.masked(root["prior_logits"], invalid), 0.25, 0.3)
    root = {**root, "prior_logits": noisy.numpy()}
    settings = {"num_simulations": SIMULATIONS, "max_depth": max_depth, "temperature": 0.0}

    @tf.function(jit_compile=True)
    def ours(params, root):
        return planning.muzero_policy(
            params, random.key(0), planning.Root(**root), ours_step, dirichlet_fraction=0.0, **settings
        )

    theirs = mctx.muzero_policy(
        jax.tree.map(jnp.asarray, params),
        jax.random.key(0),
        mctx.RootFnOutput(**jax.tree.map(jnp.asarray, root)),
        theirs_step,
        invalid_actions=jnp.asarray(invalid),
        dirichlet_fraction=0.0,
        **settings,
    )
    assert_same(ours(params, root), theirs)


@pytest.mark.parametrize("max_considered", [16, 3])
def test_gumbel_noise_and_sequential_halving(max_considered):
    params, (root, invalid), key = games(1), roots(1), jax.random.key(7)
    gumbel = jax.random.gumbel(jax.random.split(key)[1], root["prior_logits"].shape, jnp.float64)

    @tf.function(jit_compile=True)
    def ours(params, root, gumbel):
        return planning.gumbel_muzero_policy(
            params,
            random.key(0),
            planning.Root(**root),
            ours_step,
            SIMULATIONS,
            invalid_actions=invalid,
            max_considered=max_considered,
            gumbel=gumbel,
        )

    theirs = mctx.gumbel_muzero_policy(
        jax.tree.map(jnp.asarray, params),
        key,
        mctx.RootFnOutput(**jax.tree.map(jnp.asarray, root)),
        theirs_step,
        SIMULATIONS,
        invalid_actions=jnp.asarray(invalid),
        max_num_considered_actions=max_considered,
    )
    found = ours(params, root, np.asarray(gumbel))
    np.testing.assert_array_equal(found.action, theirs.action)
    assert_same(found, theirs)
