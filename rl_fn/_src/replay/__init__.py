"""See `rl_fn.replay`."""
