"""Population-based training: who takes over from whom, what is changed, and that equal states have equal futures."""

import numpy as np
import pytest
import tensorflow as tf

from rl_fn import envs, loops, random, sets, struct
from rl_fn.runs import checkpoint
from rl_fn.search import lineage, population, space
from rl_fn.search.tunable import tunable
from tests.search import tunes

KEY = random.key(3)


def test_the_worst_fifth_take_over_from_the_best_fifth():
    fitness = tf.constant([5.0, 1.0, 9.0, 3.0, 0.0, 8.0, 4.0, 6.0, 7.0, 2.0])
    parents, took_over = population.exploit(KEY, fitness)
    assert np.flatnonzero(took_over).tolist() == [1, 4]
    assert set(parents.numpy()[[1, 4]]) <= {2, 5}
    others = [0, 2, 3, 5, 6, 7, 8, 9]
    assert parents.numpy()[others].tolist() == others


def test_nobody_takes_over_from_who_is_no_better():
    parents, took_over = population.exploit(KEY, tf.fill([5], -np.inf))
    assert not np.any(took_over)
    assert parents.numpy().tolist() == [0, 1, 2, 3, 4]
    assert population.exploit(KEY, tf.constant([1.0]))[0].numpy().tolist() == [0]


def test_every_one_of_the_best_is_drawn():
    keys = random.split(KEY, 50)
    fitness = tf.range(10, dtype=tf.float32)
    drawn = {int(population.exploit(key, fitness)[0][0]) for key in tf.unstack(keys)}
    assert drawn == {8, 9}


def test_settings_are_multiplied_moved_or_drawn_anew_and_stay_in_their_range():
    size = 400
    settings = {"decay": tf.fill([size], 0.1), "offset": tf.fill([size], 1.0)}
    changed = tf.range(size) % 2 == 0
    found = population.explore(KEY, settings, changed, tunes.SPACE)
    decay, offset = found["decay"].numpy(), found["offset"].numpy()
    assert np.all(decay[1::2] == np.float32(0.1))
    assert np.all(offset[1::2] == 1.0)
    factors = np.isclose(decay[::2], 0.08) | np.isclose(decay[::2], 0.12)
    shifts = np.isclose(offset[::2], 0.8) | np.isclose(offset[::2], 1.2)
    for kept in (factors, shifts):
        assert 0.65 < kept.mean() < 0.85  # three quarters, and five deviations
    assert decay.min() >= 0.01
    assert decay.max() <= 1.0
    at_the_end = population.explore(KEY, {"decay": tf.ones([size]), "offset": tf.ones([size])}, changed, tunes.SPACE)
    assert at_the_end["decay"].numpy().max() <= 1.0


def test_what_a_population_cannot_change_is_refused_by_name():
    hparams = sets.make(sets.find("dqn_cartpole"))
    for text, said in (("batch_size", "batch_size makes a program"), ("gamma=[0.9,0.99]", "is no range")):
        with pytest.raises(ValueError, match=said):
            population.check(space.parse(text, hparams))


@pytest.fixture(scope="module")
def generations():
    """A population over four generations, as it was after each, and what each said."""
    env, size = envs.make("CartPole-v1"), 5
    make = lambda settings: tunes.of(actor_lag=2, **settings)
    agent = tunable(make, {"decay": tf.constant(0.1), "offset": tf.constant(1.0)})
    settings = population.initial_settings(random.key(0), tunes.SPACE, size)
    members = [
        loops.init_state(tunable(make, {name: values[m] for name, values in settings.items()}), env, key)
        for m, key in enumerate(tf.unstack(random.split(random.key(1), size)))
    ]
    start = population.init_population(struct.stack(members), random.key(2))
    step = population.population_step(loops.train_step(agent, env), tunes.SPACE, iterations=10)
    compiled = loops.compile(step, start)
    states, said = [start], []
    for _ in range(4):
        said.append(compiled())
        states.append(compiled.read())
    assert compiled.trace_count == 1
    compiled.restore(states[2])
    compiled()
    compiled()
    return states, said, compiled.read()


def test_who_takes_over_goes_on_with_what_the_parent_has_learned_and_its_own_keys(generations):
    states, said, _ = generations
    parents, after = said[0].parents.numpy(), states[1].members
    (taken,) = np.flatnonzero(parents != np.arange(5))
    np.testing.assert_array_equal(after.agent.agent.digest[taken], after.agent.agent.digest[parents[taken]])
    assert said[0].settings["decay"][taken] != said[0].settings["decay"][parents[taken]]
    np.testing.assert_array_equal(after.agent.settings["decay"], said[0].settings["decay"])
    np.testing.assert_array_equal(after.key, states[0].members.key)
    assert said[0].fitness[parents[taken]] == max(said[0].fitness.numpy())
    assert after.iteration.numpy().tolist() == [10] * 5


def test_who_takes_over_acts_with_the_waiting_policies_of_the_parent(generations):
    states, said, _ = generations
    parents = said[0].parents.numpy()
    (taken,) = np.flatnonzero(parents != np.arange(5))
    waiting, _ = states[1].members.policies
    theirs = float(states[0].members.agent.settings["decay"][parents[taken]])
    assert waiting["decay"][taken].numpy().tolist() == [theirs, theirs]


@pytest.mark.parametrize("damage", ["", "x", "\x00\xff", "generation,member\n1,2\n"])
def test_a_damaged_lineage_is_named(damage, tmp_path):
    path = tmp_path / "lineage.csv"
    row = lineage.Row(1, 0, 2, 3.5, {"decay": 0.5})
    lineage.write(path, [row], ["decay"])
    assert lineage.read(path, ["decay"]) == [row]
    path.write_bytes(path.read_bytes()[:-6] + damage.encode("latin1"))
    with pytest.raises(ValueError, match=r"lineage\.csv is damaged in line 2, expected numbers in generation, member"):
        lineage.read(path, ["decay"])


def test_a_population_that_is_gone_on_with_is_the_same_to_the_bit(generations):
    states, _, again = generations
    assert checkpoint.digest(again) == checkpoint.digest(states[4])
    assert checkpoint.digest(again) != checkpoint.digest(states[3])
