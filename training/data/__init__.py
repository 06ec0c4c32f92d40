"""Data: named in `data.toml`, read, cleaned, held to a schema, split, checked for leaks, named by digest."""
