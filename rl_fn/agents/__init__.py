"""Agents: one file per algorithm, each with its hyper-parameters, its state and `make`."""
