"""What is there only because of a compiler: with another one, or none, the algorithms would stay as they are.

- `backwards`: a loop over rows from the last to the first, two at a time where the loop costs more than a row.
- `calls`: compiled programs called without the checks of a `tf.function`.
- `copies`: vectorising over copies, with loops that stay plain loops.
- `fallback`: what is said where a private name of TensorFlow is gone and a slower way is taken.
- `garbage`: no search for reference cycles while TensorFlow is imported and programs are traced.
- `in_place`: rows of large tensors read and written without copies of the whole.
- `kept`: words that are computed once and not again in all that reads them.
- `products`: dense layers and convolutions in the shapes that are fast.
- `program_cache`: what is damaged in the cache of compiled programs, found before XLA reads it.
- `startup`: what must be settled before TensorFlow is imported, and the cache of compiled programs.
- `ties`: values of a loop that are one per copy from its start.

`calls` and `copies` use private names of TensorFlow where they are there; nothing else in the package does.
"""
