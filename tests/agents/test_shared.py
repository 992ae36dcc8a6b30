"""Every agent that is shared by two devices comes to what it comes to on one."""

import numpy as np
import pytest

from rl_fn import loops, random, struct
from tests.agents.test_loops import AGENTS, ALIKE, made

FOUR = {"num_envs": 4}
HEAVY = {"dreamer", "muzero"}  # their parts compile for minutes
REFUSED = {"ppg"}


@pytest.mark.parametrize("name", sorted(set(AGENTS) - ALIKE - HEAVY - REFUSED))
def test_two_devices_come_to_what_one_does(name):
    later = {"learning_starts": 16} if "learning_starts" in AGENTS[name][1] else {}
    env, agent, _ = made(name, **FOUR, **later)
    start = loops.init_state(agent, env, random.key(1))
    step = loops.SharedStep(agent, env, loops.spec_of(lambda key: loops.init_state(agent, env, key)), 2)
    peers = [loops.OnDevice(step, index, "/CPU:0") for index in range(2)]
    two = loops.Lockstep(step, peers, start)
    one = loops.compile(loops.train_step(agent, env), start)
    one.run(4)
    two.run(4)
    for peer in peers:
        peer.close()
    moved = 0
    pairs = zip(
        struct.named_leaves(one.read()), struct.named_leaves(two.read()), struct.named_leaves(start), strict=True
    )
    for (leaf, expected), (_, actual), (_, before) in pairs:
        moved += leaf.startswith("agent/") and np.any(np.asarray(expected) != np.asarray(before))
        np.testing.assert_allclose(actual, expected, rtol=1e-3, atol=1e-4, err_msg=leaf)
    assert moved > 1


@pytest.mark.parametrize("name", sorted(REFUSED))
def test_what_takes_its_time_to_know_how_often_it_repeats_is_refused(name):
    env, agent, _ = made(name, **FOUR)
    with pytest.raises(ValueError, match="devices meet in a loop whose length is not known when it is traced"):
        loops.SharedStep(agent, env, loops.spec_of(lambda key: loops.init_state(agent, env, key)), 2)
