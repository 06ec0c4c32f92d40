"""What a trial may cost at most, from the table of list prices and how long it may last."""

from __future__ import annotations

from planning.prices import HOURS, Prices

REQUESTS = 30_000
"""More than all tests and measurements ask."""

GB_SECONDS = REQUESTS * 0.2 * 1.0
"""A fifth of a second each, with a gigabyte: several times what was ever seen."""

VERSIONS = 20
"""Published Lambda versions whose snapshots Lambda keeps, of a gigabyte each."""

ALARMS, COMPOSITES, DASHBOARDS, METRICS = 120, 20, 5, 150
KEYS, KEY_MONTH = 8, 1.00
"""Customer keys. Source: KMS pricing, $1 a month for each, by the hour."""

LOG_GB = 0.2
MARGIN = 2.0
"""For what is not in the list: S3, SSM, Step Functions, taxes, another region's prices."""


def estimate(prices: Prices, minutes: float) -> float:
    """US dollars, upper bound by intention: everything stands for the whole time and an hour of teardown."""
    hours = minutes / 60 + 1
    front, lambda_ = prices.front, prices.lambda_
    calls = REQUESTS / 1e6 * (lambda_.million_requests + front.http_api_million_requests)
    computing = GB_SECONDS * lambda_.x86_64_gb_second + LOG_GB * front.log_gb
    # A snapshot is charged for at least three hours (Lambda pricing).
    snapshots = VERSIONS * max(hours, 3) * 3600 * lambda_.snapstart_cache_gb_second
    snapshots += REQUESTS / 100 * lambda_.snapstart_restore_gb
    month = ALARMS * front.alarm_month + COMPOSITES * front.composite_alarm_month
    month += DASHBOARDS * front.dashboard_month + METRICS * front.metric_month + KEYS * KEY_MONTH
    return MARGIN * (calls + computing + snapshots + month * hours / HOURS)
