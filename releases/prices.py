"""What a machine costs for an hour. A table with a date, so that an estimate can be made without a network.

On demand, Linux, us-east-1, in US dollars. AWS's own price list could not be read where this was written:
these are numbers that several public sources repeat alike, and other regions and savings plans differ. It
is for judging whether something costs cents or hundreds, not for a bill.

Sources: instances.vantage.sh as of ``AS_OF`` (EC2); https://aws.amazon.com/sagemaker/pricing/ as quoted
there and elsewhere (SageMaker real-time inference).
"""

from __future__ import annotations

AS_OF = "2025-11-30"
REGION = "us-east-1"

PER_HOUR: dict[str, float] = {
    "ml.c5.large": 0.102,
    "ml.c5.xlarge": 0.204,
    "ml.c5.2xlarge": 0.408,
    "ml.c5.4xlarge": 0.816,
    "ml.m5.large": 0.115,
    "ml.m5.xlarge": 0.23,
    "ml.m5.2xlarge": 0.461,
    "ml.g4dn.xlarge": 0.7364,
    "ml.g5.xlarge": 1.408,
    "ml.g5.2xlarge": 1.515,
    "ml.g5.12xlarge": 7.09,
    "ml.g5.24xlarge": 10.18,
    "ml.g5.48xlarge": 20.36,
    "ml.g6.xlarge": 1.127,
    "ml.g6.2xlarge": 1.222,
    "ml.g6.12xlarge": 5.752,
    "ml.p4d.24xlarge": 37.688,
    "c5.large": 0.085,
    "c5.xlarge": 0.17,
    "c5.2xlarge": 0.34,
    "m5.large": 0.096,
    "m5.xlarge": 0.192,
    "m5.2xlarge": 0.384,
    "g4dn.xlarge": 0.526,
    "g4dn.12xlarge": 3.912,
    "g5.xlarge": 1.006,
    "g5.2xlarge": 1.212,
    "g5.12xlarge": 5.672,
    "g5.48xlarge": 16.288,
    "g6.xlarge": 0.8048,
    "g6.2xlarge": 0.9776,
    "g6.12xlarge": 4.6016,
}


def per_hour(instance_type: str, instances: int) -> float | None:
    """Dollars for so many machines for an hour; ``None`` for a type that is not in the table."""
    price = PER_HOUR.get(instance_type)
    return None if price is None else round(price * instances, 4)
