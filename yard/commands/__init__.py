"""One module per command. Each imports its room when it runs, so that ``yard --help`` is quick."""
