"""Searches, their steps and what they are made of, worked out by hand."""

import numpy as np
import pytest
import tensorflow as tf

from rl_fn import planning, random
from rl_fn._src.xla.copies import vectorized_map
from rl_fn.envs.compiled import in_a_row
from tests.support import assert_nests_close, assert_refuses

INF = float("inf")


def node(**given):
    """A node with three children: not visited, visited once with the value 2, and three times with -1."""
    values = {
        "visits": tf.constant([5]),
        "value": tf.constant([0.5]),
        "raw_value": tf.constant([0.25]),
        "prior_logits": tf.math.log([[0.5, 0.2, 0.3]]),
        "children": tf.constant([[-1, 1, 2]]),
        "child_visits": tf.constant([[0, 1, 3]]),
        "q_values": tf.constant([[0.0, 2.0, -1.0]]),
    }
    return planning.Node(**{**values, **given})


def two_steps(params, key, action, state):
    """Action 1 pays 1 and goes on, action 0 pays nothing and ends; the value of a state is its number."""
    del params, key
    paid = tf.cast(action, tf.float32)
    step = planning.ModelStep(paid, 0.5 * paid, tf.zeros([action.shape[0], 2]), tf.cast(state + 1, tf.float32))
    return step, state + 1


def first_or(choices):
    """A selection that takes action 1, and the choices at the root."""
    return lambda node, key: tf.constant(choices), lambda node, key: tf.ones_like(node.visits)


def test_a_simulation_stops_where_nothing_is_known_and_its_value_comes_back():
    root = planning.Root(tf.zeros([2, 2]), tf.constant([10.0, 20.0]), tf.constant([0, 0]))
    tree = planning.plant(root, 3)
    select = first_or([1, 0])
    edge = planning.simulate(tree, *select, random.key(0))
    np.testing.assert_array_equal(edge, [[0, 0], [1, 0], [1, 1]])  # node, action, depth
    tree, reached, value = planning.expand(tree, edge, tf.constant(1), None, random.key(0), two_steps)
    np.testing.assert_array_equal(reached, [1, 1])
    np.testing.assert_array_equal(value, [1, 1])
    tree = planning.backward(tree, reached, value)
    np.testing.assert_array_equal(tree.visits, [[2, 2], [1, 1], [0, 0]])
    np.testing.assert_array_equal(tree.values, [[(10 + 1 + 0.5 * 1) / 2, (20 + 0) / 2], [1, 1], [0, 0]])
    edge = planning.simulate(tree, *select, random.key(0))
    np.testing.assert_array_equal(edge, [[1, 1], [1, 1], [2, 2]])
    tree, reached, value = planning.expand(tree, edge, tf.constant(2), None, random.key(0), two_steps)
    tree = planning.backward(tree, reached, value)
    # What was found is 2, seen as 1 + 0.5 * 2 from its parent, and as 1 + 0.5 * 2 once more from the first root.
    np.testing.assert_array_equal(tree.values[:, 0], [(10 + 1.5 + 2) / 3, (1 + 2) / 2, 2])
    np.testing.assert_allclose(tree.values[:, 1], [20 / 3, (1 + 2) / 2, 2])
    root = planning.root_node(tree)
    np.testing.assert_array_equal(root.child_visits, [[0, 2], [2, 0]])
    np.testing.assert_array_equal(root.q_values, [[0, 1 + 0.5 * 1.5], [0, 0]])


def test_at_the_limit_of_depth_an_old_node_is_visited_again():
    root = planning.Root(tf.zeros([1, 2]), tf.zeros([1]), tf.constant([0]))
    tree = planning.search(None, random.key(0), root, two_steps, *first_or([1]), num_simulations=3, max_depth=1)
    np.testing.assert_array_equal(tree.children[0, 0], [-1, 1])
    np.testing.assert_array_equal(tree.visits[:2, 0], [4, 3])
    np.testing.assert_array_equal(tree.values[:2, 0], [3 * 1.5 / 4, 1])


def test_upper_confidence_bounds():
    def scores(visits, prior, q):
        bonus = np.sqrt(5) * (1.25 + np.log((5 + 19652 + 1) / 19652)) * np.array(prior) / (1 + np.array(visits))
        return np.array(q) + bonus

    normalised = [0, 1, 0]  # of 2 and -1, and of 0.5 for the node: the least is -1
    np.testing.assert_allclose(planning.by_parent_and_siblings(node()), [normalised])
    assert scores([0, 1, 3], [0.5, 0.2, 0.3], normalised).argmax() == 0
    assert planning.puct(node(), random.key(0)) == 0
    assert planning.puct(node(), random.key(0), c_init=0.1) == 1
    assert planning.puct(node(prior_logits=tf.math.log([[0.0, 0.4, 0.6]])), random.key(0)) == 1  # the first is invalid
    assert planning.uct(node(), random.key(0)) == 0  # without a visit
    assert planning.uct(node(child_visits=tf.constant([[1, 1, 1]])), random.key(0)) == 1


def test_ties_are_decided_by_the_key():
    equal = node(prior_logits=tf.zeros([1, 3]), child_visits=tf.zeros([1, 3], tf.int32), q_values=tf.zeros([1, 3]))
    assert {int(planning.puct(equal, random.key(seed))[0]) for seed in range(30)} == {0, 1, 2}


def test_action_values_are_brought_to_a_scale():
    np.testing.assert_allclose(planning.by_bounds(node(), -1, 3), [[0, 0.75, 0]])
    np.testing.assert_allclose(planning.unscaled(node()), [[0, 2, -1]])
    # The prior of those visited is 0.2 and 0.3: 0.4 * 2 - 0.6 * 1 = 0.2, over four visits.
    np.testing.assert_allclose(planning.mixed_value(node()), [(0.25 + 4 * 0.2) / 5], rtol=1e-5)
    plain = planning.completed_by_mixed_value(node(), value_scale=0.1, visit_offset=50, rescale=False)
    np.testing.assert_allclose(plain, [(50 + 3) * 0.1 * np.array([0.21, 2, -1])], rtol=1e-5)
    scaled = planning.completed_by_mixed_value(node(), value_scale=0.1, visit_offset=50)
    np.testing.assert_allclose(scaled, [(50 + 3) * 0.1 * np.array([1.21 / 3, 1, 0])], rtol=1e-5)
    none = node(child_visits=tf.zeros([1, 3], tf.int32))
    np.testing.assert_allclose(planning.mixed_value(none), [0.25])
    np.testing.assert_allclose(planning.completed_by_mixed_value(none), [[0, 0, 0]])


def test_below_the_root_visits_follow_the_improved_policy():
    logits = planning.improved_logits(node())
    improved = np.exp(logits) / np.sum(np.exp(logits))
    assert planning.gumbel_interior(node(), random.key(0)) == np.argmax(improved - np.array([0, 1, 3]) / 5)


def test_sequential_halving():
    assert planning.halving_visits(1, 4) == [0, 1, 2, 3]
    assert planning.halving_visits(4, 16) == [0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5]
    assert planning.halving_visits(8, 5) == [0, 0, 0, 0, 0]
    assert planning.halving_visits(2, 3) == [0, 0, 1]


def test_gumbel_noise_chooses_whom_to_consider_and_values_who_is_left():
    fresh = node(child_visits=tf.zeros([1, 3], tf.int32), q_values=tf.zeros([1, 3]), prior_logits=tf.zeros([1, 3]))
    noise = tf.constant([[0.0, 2.0, 1.0]])
    assert planning.gumbel_root(fresh, random.key(0), noise, 8, max_considered=2) == 1
    once = fresh._replace(child_visits=tf.constant([[0, 1, 0]]))
    assert planning.gumbel_root(once, random.key(0), noise, 8, max_considered=2) == 2
    invalid = fresh._replace(prior_logits=tf.constant([[0.0, -INF, -INF]]))
    assert planning.gumbel_root(invalid, random.key(0), noise, 8, max_considered=2) == 0


def test_noise_leaves_invalid_actions_alone():
    logits = tf.math.log([[0.5, 0.5, 0.0]])
    np.testing.assert_allclose(planning.with_noise(random.key(0), logits, 0.0, 0.3), logits, rtol=1e-6)
    one, other = (np.exp(planning.with_noise(random.key(seed), logits, 0.5, 0.3)) for seed in (0, 1))
    assert np.all(one != other, axis=-1, where=[True, True, False])
    np.testing.assert_allclose(one.sum(), 1, rtol=1e-5)
    assert (one[0, :2] >= 0.25).all()
    assert one[0, 2] == 0


def test_actions_are_drawn_in_proportion_to_visits():
    weights = tf.constant([[0.8, 0.2, 0.0]] * 20_000)
    drawn = planning.draw(random.key(0), weights, 0.5).numpy()
    assert np.mean(drawn == 1) == pytest.approx(0.04 / 0.68, abs=0.01)
    assert not np.any(drawn == 2)
    assert not np.any(planning.draw(random.key(0), weights, 0.0))


def random_game(params, key, action, state):
    """A model that is a table of numbers, and has invalid actions."""
    del key
    place = (state * 3 + action) % 20
    row = tf.gather(params, place)
    logits = tf.where(tf.range(3) == place[:, tf.newaxis] % 4, -INF, row[:, 2:5])
    return planning.ModelStep(row[:, 0], tf.sign(row[:, 1]), logits, row[:, 1]), place


def found_in(params, logits, key):
    root = planning.Root(logits, logits[:, 0], tf.range(4))
    settings = {"num_simulations": 6, "invalid_actions": tf.constant([[False, True, False]] * 4)}
    plain = planning.muzero_policy(params, key, root, random_game, **settings)
    return plain, planning.gumbel_muzero_policy(params, key, root, random_game, **settings)


def test_modes_and_copies_agree():
    rng = np.random.default_rng(0)
    copies = rng.normal(size=[2, 20, 5]), rng.normal(size=[2, 4, 3])
    copies = [tf.constant(leaf, tf.float32) for leaf in copies] + [random.split(random.key(0))]
    first = [leaf[0] for leaf in copies]
    eager = found_in(*first)
    together = tf.function(lambda *x: vectorized_map(lambda one: found_in(*one), x), jit_compile=True)(*copies)
    for others in (tf.function(found_in, jit_compile=True)(*first), tf.nest.map_structure(lambda x: x[0], together)):
        assert_nests_close(others, eager, rtol=1e-4, atol=1e-5)
    assert np.any(together[0].tree.children[0] != together[0].tree.children[1])


def test_nothing_invalid_is_visited():
    rng = np.random.default_rng(1)
    numbers = [tf.constant(rng.normal(size=size), tf.float32) for size in ([20, 5], [4, 3])]
    for found in tf.function(found_in)(*numbers, random.key(0)):
        assert not np.any(found.action == 1)
        np.testing.assert_array_equal(found.action_weights[:, 1], 0)
        np.testing.assert_allclose(tf.reduce_sum(found.action_weights, axis=-1), 1, rtol=1e-5)
        np.testing.assert_array_equal(found.tree.visits[0], 7)
        below = found.tree.children[1:].numpy()
        assert not np.any(below[np.isinf(found.tree.prior_logits[1:])] >= 0)


def test_what_cannot_be_is_refused():
    root = planning.Root(tf.zeros([2, 2]), tf.zeros([2]), tf.constant([0, 0]))
    run = lambda root, **more: planning.muzero_policy(None, random.key(0), root, two_steps, **more)
    assert_refuses("num_simulations is 0, expected an integer of at least 1", run, root, num_simulations=0)
    assert_refuses("max_depth is 0, expected an integer of at least 1", run, root, num_simulations=1, max_depth=0)
    assert_refuses(r"value has shape \(3,\), expected", run, root._replace(value=tf.zeros([3])), num_simulations=1)
    wide = root._replace(value=tf.cast(root.value, tf.float64))
    assert_refuses("prior_logits are float32 and the value float64, expected one", run, wide, num_simulations=1)
    counts = root._replace(
        value=tf.zeros_like(root.value, tf.int32), prior_logits=tf.zeros_like(root.prior_logits, tf.int32)
    )
    assert_refuses("prior_logits are int32 and the value int32, expected one", run, counts, num_simulations=1)
    assert_refuses("an embedding has shape", run, root._replace(embedding=tf.zeros([3])), num_simulations=1)
    invalid = tf.zeros([2, 3], tf.bool)
    assert_refuses("invalid_actions has shape", run, root, num_simulations=1, invalid_actions=invalid)
    other = root._replace(prior_logits=tf.zeros([2, 3]))
    assert_refuses(r"recurrent_fn: prior_logits is float32 \(2, 2\), expected", run, other, num_simulations=1)
    gumbel = lambda: planning.gumbel_muzero_policy(None, random.key(0), root, two_steps, 1, max_considered=0)
    assert_refuses("max_considered is 0", gumbel)
    assert_refuses("num_simulations is 2.5, expected an integer", run, root, num_simulations=2.5)
    assert_refuses("dirichlet_alpha is 0, expected a number in", run, root, num_simulations=1, dirichlet_alpha=0.0)
    assert_refuses(
        "dirichlet_fraction is 2, expected a number in", run, root, num_simulations=1, dirichlet_fraction=2.0
    )
    assert_refuses("temperature is -1, expected a number in", run, root, num_simulations=1, temperature=-1.0)
    assert_refuses("temperature is nan, expected a number in", run, root, num_simulations=1, temperature=np.nan)
    assert_refuses("c_base is 0, expected a number in", run, root, num_simulations=1, c_base=0.0)


def test_a_search_wins_and_defends_where_one_move_decides():
    game = in_a_row.GAMES["tic_tac_toe"]
    boards = [[1, 1, 0, 2, 2, 0, 0, 0, 0], [2, 2, 0, 1, 0, 0, 1, 0, 0]]  # 1 is who moves
    cells = tf.reshape(tf.constant(boards), [2, 3, 3])
    search = tf.function(in_a_row.searched_move, jit_compile=True)
    move = search(in_a_row.State(cells == 1, cells == 2), random.key(0), game=game, simulations=100)
    np.testing.assert_array_equal(move, [2, 2])
