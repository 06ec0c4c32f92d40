"""What the parts of Switchyard agree on: names, digests, manifests, keys, errors.

Standard library only. This package is copied into every Lambda function, so nothing here may cost
start-up time or need an installed package.
"""
