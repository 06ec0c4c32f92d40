"""The demonstration: one real model from publish to rollback, on a real deploy, under real load."""
