"""WHAT IS LIVE: making a version able to answer, then letting an alias point at it, and back.

Standard library only, except ``releases.adapters.aws`` (boto3): this package also runs inside the
operations function that ``cdk deploy`` calls.
"""
