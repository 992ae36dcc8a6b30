"""See `rl_fn.networks`."""
