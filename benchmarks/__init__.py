"""Measurements on the embedded cloud: what ``docs/benchmarks.md`` shows, and how it came about."""
