"""`python -m rl_fn` is `rl-fn`."""

from rl_fn.commands import main

if __name__ == "__main__":
    main()
