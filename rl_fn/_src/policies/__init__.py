"""See `rl_fn.policies`."""
