"""See `rl_fn.learning`."""
