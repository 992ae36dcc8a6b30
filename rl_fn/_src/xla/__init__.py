"""What is there only because of a compiler."""
