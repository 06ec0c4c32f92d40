"""Cost: what a model cost in a window, from what CloudWatch counted and a table of list prices.

What is counted: requests and duration (Lambda's own metrics), cold starts that restored a snapshot, bytes of
the log, metrics that had data. What stands ready is taken as it stands now, as if it had stood for the whole
window: CloudWatch keeps no history of it. Every request is charged as one through the API, in both what the
API takes and what the function takes.

Not in here: S3, KMS, data transfer, queues, the operations function, the free tier, discounts, taxes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from model_store.contract.deployment import function_name
from model_store.contract.environment import COLD_STARTS_METRIC, METRICS
from planning.prices import HOURS, Prices
from planning.sizing import LOG_BYTES
from releases.bases import current_base
from releases.endpoints import target_of
from releases.health import LAMBDA
from releases.ports import Metric
from releases.stage import Stage
from telemetry.ports import Asked, Numbers
from telemetry.standing import Standing, standing
from telemetry.traffic import REQUESTS, metric_of, total, versions_counted
from telemetry.window import HOUR_S, Window


@dataclass(frozen=True, slots=True)
class Item:
    """One line of the bill, in US dollars. ``quantity`` is in ``unit``; ``warmth`` is what only a rollback
    needs."""

    what: str
    quantity: float
    unit: str
    dollars: float
    warmth: bool = False
    estimated: bool = False


@dataclass(frozen=True, slots=True)
class Cost:
    """What one model cost. ``unpriced`` stands and is in no table."""

    model: str
    target: str
    hours: float
    requests: int
    items: tuple[Item, ...]
    unpriced: tuple[str, ...]

    @property
    def dollars(self) -> float:
        return sum(item.dollars for item in self.items)

    @property
    def warmth(self) -> float:
        """What only a rollback needs."""
        return sum(item.dollars for item in self.items if item.warmth)

    @property
    def per_thousand(self) -> float | None:
        """Dollars for a thousand requests, everything in; ``None`` if there were none."""
        return self.dollars / self.requests * 1000 if self.requests else None

    def as_json(self) -> dict[str, Any]:
        totals = {"dollars": self.dollars, "warmth": self.warmth, "per_thousand": self.per_thousand}
        return {**asdict(self), **totals}


def cost(
    stage: Stage, numbers: Numbers, model: str, window: Window, prices: Prices, *, api: str = "http"
) -> Cost:
    """What ``model`` cost in ``window``: a reading of CloudWatch, and a look at what stands."""
    base = current_base(stage.store, model)
    counted = versions_counted(numbers, stage.name).get(model, [])
    used = _read(stage, numbers, model, counted, window)
    found = standing(stage, model, prices)
    hours = window.seconds / HOUR_S
    alarms = len(numbers.alarms(f"switchyard/{stage.name}/{model}/"))
    answering = sum(used[f"version {version}"] > 0 for version in counted)
    items = [
        *_computed(used, base.memory_mb / 1024, prices.lambda_.gb_second(base.architecture), prices),
        *_stood(found, hours),
        *_front(used, prices, api),
        *_watched(answering, alarms, hours, prices),
    ]
    if base.snap_start != "None":
        gigabytes = used["cold starts"] * base.memory_mb / 1024
        items.append(
            Item("snapshots restored", gigabytes, "GB", gigabytes * prices.lambda_.snapstart_restore_gb)
        )
    return Cost(
        model=model,
        target=target_of(base),
        hours=hours,
        requests=round(used["requests"]),
        items=tuple(item for item in items if item.quantity),
        unpriced=tuple(f"version {one.version}: {one.what}" for one in found if one.per_hour is None),
    )


def _read(
    stage: Stage, numbers: Numbers, model: str, versions: Sequence[int], window: Window
) -> dict[str, float]:
    function = function_name(stage.name, model)
    of_lambda = (("FunctionName", function),)
    asked: dict[str, Asked] = {
        "invocations": (Metric(LAMBDA, "Invocations", of_lambda), "Sum"),
        "duration": (Metric(LAMBDA, "Duration", of_lambda), "Sum"),
        "provisioned": (Metric(LAMBDA, "ProvisionedConcurrencyInvocations", of_lambda), "Sum"),
        "log bytes": (
            Metric("AWS/Logs", "IncomingBytes", (("LogGroupName", f"/aws/lambda/{function}"),)),
            "Sum",
        ),
        "requests": (metric_of(stage.name, model, None, REQUESTS[0]), REQUESTS[1]),
        "cold starts": (metric_of(stage.name, model, None, COLD_STARTS_METRIC), "Sum"),
    }
    for version in versions:
        asked[f"version {version}"] = (metric_of(stage.name, model, version, REQUESTS[0]), REQUESTS[1])
    found = numbers.series(
        list(asked.values()), since=window.since, until=window.until, period_s=window.period_s
    )
    return dict(zip(asked, map(total, found), strict=True))


def _computed(used: dict[str, float], gigabytes: float, gb_second: float, prices: Prices) -> list[Item]:
    """Requests and GB-seconds; those in environments that were kept started are cheaper."""
    calls = used["invocations"]
    gb_seconds = used["duration"] / 1000 * gigabytes
    warm = min(used["provisioned"] / calls, 1.0) if calls else 0.0
    on_warm, on_demand = gb_seconds * warm, gb_seconds * (1 - warm)
    return [
        Item("Lambda requests", calls, "requests", calls / 1e6 * prices.lambda_.million_requests),
        Item("Lambda duration", on_demand, "GB-s", on_demand * gb_second),
        Item(
            "Lambda duration, kept started",
            on_warm,
            "GB-s",
            on_warm * prices.lambda_.provisioned_duration_gb_second,
        ),
    ]


def _stood(found: list[Standing], hours: float) -> list[Item]:
    return [
        Item(f"version {one.version}: {one.what}", hours, "hours", one.per_hour * hours, not one.serves)
        for one in found
        if one.per_hour is not None
    ]


def _front(used: dict[str, float], prices: Prices, api: str) -> list[Item]:
    """API and log. Where CloudWatch does not tell the log's bytes, they follow from the requests."""
    requests, told = used["requests"], used["log bytes"]
    log = (told or requests * LOG_BYTES) / 1e9
    return [
        Item("API", requests, "requests", requests / 1e6 * prices.front.api_million_requests(api)),
        Item("log", log, "GB", log * prices.front.log_gb, estimated=not told),
    ]


def _watched(answering: int, alarms: int, hours: float, prices: Prices) -> list[Item]:
    """Metrics are charged by the hour in which they have data, alarms while they exist."""
    month = hours / HOURS
    series = len(METRICS) * (1 + answering) if answering else 0
    return [
        Item("metrics", series, "metrics", series * prices.front.metric_month * month, estimated=True),
        Item("alarms", alarms, "alarms", alarms * prices.front.alarm_month * month, estimated=True),
    ]
