"""Ways to reach a function."""
