"""THE COMMAND LINE. Thin: parses, calls a room, prints."""
