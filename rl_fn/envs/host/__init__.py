"""Environments of other libraries, stepped on the host."""
