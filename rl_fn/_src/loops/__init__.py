"""See `rl_fn.loops`."""
