"""Nouns that stacks put together. They grant nothing: permissions stand in ``infra.stacks`` alone."""
