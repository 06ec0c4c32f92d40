"""Optimise: make a smaller or quicker version of a version, and measure what that costs in accuracy."""
