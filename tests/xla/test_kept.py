import numpy as np
import tensorflow as tf

from rl_fn._src.xla.kept import kept, kept_small


def test_words_stay_what_they_are():
    words = np.array([0, 1, 2, 3, 2**31 - 1, 2**31, 2**31 + 1, 2**32 - 1], np.uint32)
    for jit_compile in (False, True):
        np.testing.assert_array_equal(tf.function(kept, jit_compile=jit_compile)(words), words)


def test_small_words_stay_what_they_are():
    words = np.arange(4096, dtype=np.int32)
    for jit_compile in (False, True):
        np.testing.assert_array_equal(tf.function(kept_small, jit_compile=jit_compile)(words), words)


def test_what_a_word_is_made_of_is_computed_once():
    def bits(words, keep):
        made = keep(tf.bitwise.bitwise_xor(words, 5))[:, tf.newaxis]
        return tf.bitwise.right_shift(made, tf.cast(tf.range(10), words.dtype))

    def made_with_each_bit(dtype, keep):
        compiled = tf.function(lambda words: bits(words, keep), jit_compile=True)
        text = compiled.experimental_get_compiler_ir(tf.zeros([64], dtype))(stage="optimized_hlo")
        (loop,) = [loop for loop in text.split("\n}\n") if " xor(" in loop]
        return "[64,10]" in loop

    for dtype, keep in ((tf.uint32, kept), (tf.int32, kept_small)):
        assert made_with_each_bit(dtype, tf.identity)
        assert not made_with_each_bit(dtype, keep)
