"""See `rl_fn.returns`."""
