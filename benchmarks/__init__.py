"""Measurements. Each is a module to run, prints a table and says on which machine it was made."""
