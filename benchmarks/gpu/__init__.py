"""The cases of `make bench` on machines that have JAX and no TensorFlow.

- `sizes`: which of them, and how large.
- `export`: writes their training steps as StableHLO; needs TensorFlow, and no accelerator.
- `exported`: one of them, compiled by JAX.
- `run`: runs and times them, and writes a table; needs JAX alone, and takes rejax where it is there.
- `table`: the figures as a table.
"""
