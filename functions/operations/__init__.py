"""What a deploy calls: the custom resources of the stacks, on the release controller."""
