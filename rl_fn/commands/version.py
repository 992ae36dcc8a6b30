"""`rl-fn version`."""

import rl_fn


def version() -> None:
    """Print the version."""
    print(f"rl-fn {rl_fn.__version__}")
