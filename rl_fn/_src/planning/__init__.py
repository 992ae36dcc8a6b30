"""Monte-Carlo tree search; the public page is `rl_fn.planning`."""
