"""Traffic: what each version of a model answered, how often it failed and how long it took.

Counts add up over periods, percentiles do not: over a window they are CloudWatch's own, of one period as
long as the window. Where CloudWatch divides it (at its own boundaries, and always after a day), the parts
are weighed by how many requests each holds, which is an approximation.

A request that never reaches its log line (a time-out, a crash) is in none of these numbers; Lambda counts it
as an error of the function, without saying of which version, so it stands beside the versions.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from model_store.contract.deployment import function_name, metrics_namespace
from model_store.contract.environment import (
    COLD_STARTS_METRIC,
    FAULTS_METRIC,
    LATENCY_METRIC,
    MODEL_LATENCY_METRIC,
    OVERHEAD_METRIC,
    PAYLOAD_BYTES_METRIC,
    ROWS_METRIC,
)
from releases.health import LAMBDA
from releases.ports import Metric
from telemetry.ports import Asked, Numbers, Point, Statistic
from telemetry.window import Window

Key = tuple[str, ...]

REQUESTS: tuple[str, Statistic] = (FAULTS_METRIC, "SampleCount")
"""``Faults`` is counted with every request, 0 or 1, by every version that was ever released here;
``Invocations`` only by those released since there is one."""

_COUNTS: dict[str, tuple[str, Statistic]] = {
    "requests": REQUESTS,
    "faults": (FAULTS_METRIC, "Sum"),
    "cold_starts": (COLD_STARTS_METRIC, "Sum"),
    "rows": (ROWS_METRIC, "Sum"),
    "payload_bytes": (PAYLOAD_BYTES_METRIC, "Sum"),
}
_TIMES = {"latency": LATENCY_METRIC, "model_latency": MODEL_LATENCY_METRIC, "overhead": OVERHEAD_METRIC}
_PERCENTILES: tuple[Statistic, ...] = ("p50", "p95", "p99")


@dataclass(frozen=True, slots=True)
class Spread:
    """How long something took, in milliseconds."""

    p50: float
    p95: float
    p99: float


@dataclass(frozen=True, slots=True)
class Moment:
    """One period. ``at`` is when it began, seconds since 1970."""

    at: float
    requests: int
    faults: int
    p50_ms: float | None
    p99_ms: float | None


@dataclass(frozen=True, slots=True)
class Traffic:
    """What one version did in a window; with ``version`` ``None``, the model with all of them."""

    version: int | None
    requests: int
    faults: int
    rate: float
    latency: Spread | None
    model_latency: Spread | None
    overhead: Spread | None
    cold_starts: int
    rows: int
    payload_bytes: int
    series: tuple[Moment, ...] = ()

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True, slots=True)
class ModelTraffic:
    """A model's traffic. ``failed`` and ``throttled`` are Lambda's own, of all versions together."""

    model: str
    window: Window
    all: Traffic
    versions: tuple[Traffic, ...]
    failed: int
    throttled: int

    def as_json(self) -> dict[str, Any]:
        return {
            "model": self.model,
            "since": self.window.since,
            "until": self.window.now,
            "period_s": self.window.period_s,
            "failed_invocations": self.failed,
            "throttled": self.throttled,
            "all": self.all.as_json(),
            "versions": [version.as_json() for version in self.versions],
        }


def traffic(
    numbers: Numbers, stage: str, model: str, window: Window, *, version: int | None = None
) -> ModelTraffic:
    """Read what ``model`` did, all of its versions or one: two or three calls whatever it did.

    A version that answered nothing in the window is left out.
    """
    found = [version] if version is not None else versions_counted(numbers, stage).get(model, [])
    whom: list[int | None] = [None, *found]
    whole = _read(numbers, _whole(stage, model, whom), window, window.whole_s)
    series = _read(numbers, _series(stage, model, whom), window, window.period_s)
    per_version = [_traffic(one, whole, series, window) for one in whom]
    return ModelTraffic(
        model=model,
        window=window,
        all=per_version[0],
        versions=tuple(one for one in per_version[1:] if one.requests),
        failed=round(total(whole["lambda", "failed"])),
        throttled=round(total(whole["lambda", "throttled"])),
    )


def versions_counted(numbers: Numbers, stage: str) -> dict[str, list[int]]:
    """The versions of each model that answered anything in the last two weeks, in order."""
    found: dict[str, set[int]] = {}
    for dimensions in numbers.counted(metrics_namespace(stage), FAULTS_METRIC):
        if set(dimensions) == {"model", "version"} and dimensions["version"].isdigit():
            found.setdefault(dimensions["model"], set()).add(int(dimensions["version"]))
    return {model: sorted(versions) for model, versions in sorted(found.items())}


def metric_of(stage: str, model: str, version: int | None, name: str) -> Metric:
    """A series of ours: of one version, or of the model as a whole (law 11: there are no others)."""
    dimensions = [("model", model)]
    if version is not None:
        dimensions.append(("version", str(version)))
    return Metric(metrics_namespace(stage), name, tuple(dimensions))


def total(points: Sequence[Point]) -> float:
    """What was counted in all."""
    return sum(point.value for point in points)


def weighed(points: Sequence[Point], counts: Sequence[Point]) -> float | None:
    """One value for several periods, each weighed by its count; ``None`` where there are none."""
    weights = {point.at: point.value for point in counts}
    weight = sum(weights.get(point.at, 1.0) for point in points)
    if not weight:
        return None
    return sum(point.value * weights.get(point.at, 1.0) for point in points) / weight


def _whole(stage: str, model: str, whom: Sequence[int | None]) -> dict[Key, Asked]:
    """What is asked once for the whole window."""
    asked: dict[Key, Asked] = {}
    for version in whom:
        for what, (name, statistic) in _COUNTS.items():
            asked[str(version), what] = (metric_of(stage, model, version, name), statistic)
        for what, name in _TIMES.items():
            metric = metric_of(stage, model, version, name)
            asked[str(version), what, "SampleCount"] = (metric, "SampleCount")
            for percentile in _PERCENTILES:
                asked[str(version), what, percentile] = (metric, percentile)
    function = (("FunctionName", function_name(stage, model)),)
    asked["lambda", "failed"] = (Metric(LAMBDA, "Errors", function), "Sum")
    asked["lambda", "throttled"] = (Metric(LAMBDA, "Throttles", function), "Sum")
    return asked


def _series(stage: str, model: str, whom: Sequence[int | None]) -> dict[Key, Asked]:
    """What is asked period by period."""
    asked: dict[Key, Asked] = {}
    for version in whom:
        latency = metric_of(stage, model, version, LATENCY_METRIC)
        for what in ("requests", "faults"):
            name, statistic = _COUNTS[what]
            asked[str(version), what] = (metric_of(stage, model, version, name), statistic)
        asked[str(version), "p50"] = (latency, "p50")
        asked[str(version), "p99"] = (latency, "p99")
    return asked


def _read(
    numbers: Numbers, asked: Mapping[Key, Asked], window: Window, period_s: int
) -> dict[Key, list[Point]]:
    found = numbers.series(list(asked.values()), since=window.since, until=window.until, period_s=period_s)
    return dict(zip(asked, found, strict=True))


def _traffic(
    version: int | None,
    whole: Mapping[Key, list[Point]],
    series: Mapping[Key, list[Point]],
    window: Window,
) -> Traffic:
    me = str(version)
    counts = {what: round(total(whole[me, what])) for what in _COUNTS}
    return Traffic(
        version=version,
        rate=counts["requests"] / window.seconds,
        latency=_spread(whole, me, "latency"),
        model_latency=_spread(whole, me, "model_latency"),
        overhead=_spread(whole, me, "overhead"),
        series=_moments(series, me),
        **counts,
    )


def _spread(whole: Mapping[Key, list[Point]], me: str, what: str) -> Spread | None:
    counts = whole[me, what, "SampleCount"]
    found = [weighed(whole[me, what, percentile], counts) for percentile in _PERCENTILES]
    p50, p95, p99 = found
    return None if p50 is None or p95 is None or p99 is None else Spread(p50, p95, p99)


def _moments(series: Mapping[Key, list[Point]], me: str) -> tuple[Moment, ...]:
    faults, p50, p99 = (
        {point.at: point.value for point in series[me, what]} for what in ("faults", "p50", "p99")
    )
    return tuple(
        Moment(
            at=point.at,
            requests=round(point.value),
            faults=round(faults.get(point.at, 0.0)),
            p50_ms=p50.get(point.at),
            p99_ms=p99.get(point.at),
        )
        for point in series[me, "requests"]
    )
