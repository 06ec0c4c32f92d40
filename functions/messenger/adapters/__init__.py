"""Ways out of the messenger: AWS and the web, and one that only remembers."""
