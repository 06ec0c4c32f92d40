"""What is provisioned: CDK stacks, built from the catalog.

Functions are known here as paths and handler names, never imported. Only ``infra.stacks`` grants
permissions; ``infra.constructs`` are nouns that stacks put together.
"""
