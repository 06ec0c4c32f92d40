"""What is expected of a metric: a band around its history. A plain model, and not AWS's.

AWS trains a model on up to two weeks of a metric, with its hours, days and weeks, and draws a band whose
width is a number of standard deviations (CloudWatch user guide, "Using CloudWatch anomaly detection"); how
exactly it does not say. Here the band is the mean of all earlier periods plus and minus so many standard
deviations, never narrower than a tenth of the mean: no time of day, no trend. It is known once there are
``LEAST`` earlier periods with data. What a detector excludes is excluded. Pure: it imports nothing of the
cloud.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

LEAST = 5
"""Periods with data before there is a band. AWS: minutes to hours, and until then ``INSUFFICIENT_DATA``."""

MOST = 500
"""The newest so many periods are looked at."""

NARROWEST = 0.1
"""Of the mean: a metric that never varied would else have a band of no width."""


def band_of(history: Sequence[float], width: float) -> tuple[float, float] | None:
    """Return the lower and the upper edge after ``history``; ``None`` if that is too little."""
    if len(history) < LEAST:
        return None
    known = history[-MOST:]
    mean = math.fsum(known) / len(known)
    deviation = math.sqrt(math.fsum((value - mean) ** 2 for value in known) / len(known))
    spread = max(width * deviation, NARROWEST * abs(mean))
    return mean - spread, mean + spread
