"""CloudWatch for pages: the real one, and one in memory."""
