"""See `rl_fn.losses`."""
