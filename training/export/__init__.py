"""Export: from what was trained to the file that is served, and the proof that both answer alike."""
