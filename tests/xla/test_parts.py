"""A step cut where devices meet."""

import tensorflow as tf

from rl_fn._src.xla import parts


def test_a_part_has_its_operations_in_the_order_in_which_they_were_traced(monkeypatch):
    cut = []
    monkeypatch.setattr(parts, "compile_once", lambda function: cut.append(function) or function)

    def step(x):
        ways = [tf.sin(x, name=f"way_{index}") for index in range(50)]
        return tf.add_n(ways, name="joined")

    traced = tf.function(step, autograph=False).get_concrete_function(tf.TensorSpec([]))
    parts.Parts(traced.graph, traced.inputs, traced.outputs)
    assert len(cut) == 1
    with tf.Graph().as_default() as graph:
        cut[0](tf.constant(1.0))
    names = [operation.name.removeprefix("part/") for operation in graph.get_operations()]
    assert [name for name in names if name.startswith("way_")] == [f"way_{index}" for index in range(50)]
