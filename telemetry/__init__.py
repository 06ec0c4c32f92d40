"""What a stage does: its numbers, its lines and its money. Whatever is here reads, and changes nothing."""
