"""The sides of a comparison: each module is a process of its own, in an environment of its own."""
