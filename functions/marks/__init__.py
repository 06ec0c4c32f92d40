"""Draws for CloudWatch's dashboards what they cannot: when an alias was moved, by whom and why."""
