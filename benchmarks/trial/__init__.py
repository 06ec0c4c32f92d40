"""A trial in a real AWS account: deployed, tested, measured, and taken down again whatever happens."""
