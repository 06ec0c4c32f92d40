"""What a deploy, a release in steps and an alarm call, on the release controller."""
