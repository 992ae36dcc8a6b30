"""Training runs in a folder."""
