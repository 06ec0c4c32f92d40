"""How far what a version is asked has moved from what it was trained on: measures, comparison, report."""
