"""What is behind the public modules; import those."""
