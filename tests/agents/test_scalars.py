"""Every number that changes no shape may be a scalar tensor, one per copy, so that one program trains many settings."""

import numpy as np
import pytest
import tensorflow as tf

from rl_fn import loops, random, sets, struct
from rl_fn.agents.hparams import described
from rl_fn.search.tunable import tunable
from tests.agents.test_loops import AGENTS, assert_learned, made


def scalars(values):
    """The hyper-parameters that may be tensors, as they are."""
    fields = [item for item in described(type(values)).values() if item.may_be_tensor]
    found = {item.name: getattr(values, item.name) for item in fields}
    return {name: value for name, value in found.items() if value is not None}


def other(value):
    """A value that differs and is allowed wherever the first is."""
    return 0.9 * value if value else 0.0


# Dreamer draws its latents by what it has learned: a rounding that flips one draw makes another run of it.
@pytest.mark.parametrize("name", sorted(set(AGENTS) - {"dreamer"}))
def test_copies_with_settings_of_their_own_are_what_they_are_alone(name):
    assert_copies_are_what_they_are_alone(name)


def assert_copies_are_what_they_are_alone(name):
    may_anneal = hasattr(made(name)[2], "anneal_learning_rate")
    annealed = {"anneal_learning_rate": True} if may_anneal else {}
    env, agent, values = made(name, **annealed)
    given = scalars(values)
    assert {"gamma"} < set(given)
    module = sets.agent_module(name.partition("_")[0])
    make = lambda settings: module.make(env.spec, values.override(**settings))
    tensors = lambda change: {field: tf.constant(change(value), tf.float32) for field, value in given.items()}

    def init(settings, key):
        return loops.init_state(tunable(make, settings), env, key)

    key, init = random.key(1), tf.function(init, autograph=False)
    start = struct.stack([init(tensors(change), key) for change in (other, lambda value: value)])
    step = loops.train_step(tunable(make, tensors(other)), env)
    copies = loops.compile(loops.vectorize(step), start)
    copies.run(3)
    alone = loops.init_state(agent, env, key)
    single = loops.compile(loops.train_step(agent, env), alone)
    single.run(3)
    policies = copies.read(lambda state: state.agent.agent.policy), single.read(lambda state: state.agent.policy)
    for (leaf, ours), (_, expected) in zip(*map(struct.named_leaves, policies), strict=True):
        np.testing.assert_allclose(ours[1], expected, rtol=1e-3, atol=1e-4, err_msg=leaf)
    assert_learned(alone.agent.policy, policies[1])
    assert any(np.any(leaf[0] != leaf[1]) for leaf in tf.nest.flatten(policies[0]))
