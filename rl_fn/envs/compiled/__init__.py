"""Environments that XLA compiles together with the agent."""
