"""Every number that changes no shape may be a scalar tensor, one per copy, so that one program trains many settings."""

import numpy as np
import pytest
import tensorflow as tf

from rl_fn import loops, random, struct
from rl_fn.agents.hparams import described
from tests.agents.test_loops import AGENTS, ALIKE, assert_learned, made


def scalars(values):
    """The hyper-parameters that may be tensors, as they are."""
    fields = described(type(values)).values()
    return {item.name: getattr(values, item.name) for item in fields if item.kind == struct.Scalar}


def other(value):
    """A value that differs and is allowed wherever the first is."""
    return 0.9 * value if value else 0.0


@pytest.mark.parametrize("name", sorted(set(AGENTS) - ALIKE))
def test_copies_with_settings_of_their_own_are_what_they_are_alone(name):
    may_anneal = hasattr(made(name)[2], "anneal_learning_rate")
    annealed = {"anneal_learning_rate": True} if may_anneal else {}
    env, agent, values = made(name, **annealed)
    given = scalars(values)
    assert {"gamma"} < set(given)
    swept = {field: tf.constant([other(value), value]) for field, value in given.items()}

    def step(pair):
        settings, state = pair
        _, mine, _ = made(name, **annealed, **settings)
        state, report = loops.train_step(mine, env)(state)
        return (settings, state), report

    alone = loops.init_state(agent, env, random.key(1))
    start = struct.stack([alone, alone])
    copies = loops.compile(loops.vectorize(step), (swept, start))
    copies.run(3)
    single = loops.compile(loops.train_step(agent, env), alone)
    single.run(3)
    policies = copies.read(lambda pair: pair[1].agent.policy), single.read(lambda state: state.agent.policy)
    for (leaf, ours), (_, expected) in zip(*map(struct.named_leaves, policies), strict=True):
        np.testing.assert_allclose(ours[1], expected, rtol=1e-3, atol=1e-4, err_msg=leaf)
    assert_learned(alone.agent.policy, policies[1])
    assert any(np.any(leaf[0] != leaf[1]) for leaf in tf.nest.flatten(policies[0]))
