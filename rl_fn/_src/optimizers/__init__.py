"""See `rl_fn.optimizers`."""
