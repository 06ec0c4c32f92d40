"""Lambda's metrics for every call however it came, and metric points that count, merge and arrive late.

Stock: ``AWS/Lambda`` counts only calls of the Invoke API, by function; throttled calls count as
invocations; ``StorageResolution`` is ignored; a point can get lost while old ones are evicted.
AWS: Lambda developer guide, "Types of metrics for Lambda functions" and "Using CloudWatch metrics with
Lambda": ``FunctionName``; ``Resource`` (``function``, ``function:alias`` or ``function:version``, as it was
called); ``ExecutedVersion`` ("to compare error rates for two versions of a function that are both targets of
a weighted alias"); across all functions. Invocations do not count throttled calls. Errors count exceptions,
time-outs, exhausted memory and configuration errors. Durations leave initialisation out. "The timestamp on a
metric reflects when the function was invoked."
"""

from __future__ import annotations

import contextvars
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from ministack.services import cloudwatch, lambda_svc

from local_cloud.extension import bad_day

Dimensions = dict[str, str]

_NAMESPACE = "AWS/Lambda"
_lock = threading.RLock()
_running: Counter[str] = Counter()
_late: list[tuple[float, list[dict[str, Any]], dict[str, Any]]] = []
"""Points that are not to be seen yet: when they are, the series they belong to, the point."""

_resolutions: contextvars.ContextVar[Iterator[Any] | None] = contextvars.ContextVar(
    "resolutions", default=None
)
_fine: contextvars.ContextVar[bool] = contextvars.ContextVar("fine", default=False)

_stock_metric_bucket = cloudwatch._metric_bucket
_stock_put_metric_data = cloudwatch._put_metric_data
_stock_store_datum = cloudwatch._store_datum
_stock_handle_request = cloudwatch.handle_request


class Series:
    """One metric, to be written to: equal values of one second become one point that counts."""

    def __init__(self, points: list[dict[str, Any]]) -> None:
        self._points = points

    def append(self, point: dict[str, Any]) -> None:
        """Add a point, at once or when this account's metrics arrive."""
        if _fine.get():
            point = {**point, "_fine": True}
        late = bad_day.today().metrics_late_s
        with _lock:
            if late:
                _late.append((time.time() + late, self._points, point))
            else:
                _add(self._points, point)


def _add(points: list[dict[str, Any]], point: dict[str, Any]) -> None:
    if points and _same(points[-1], point):
        points[-1]["Count"] = points[-1].get("Count", 1.0) + point.get("Count", 1.0)
    else:
        points.append(point)


def _same(one: dict[str, Any], other: dict[str, Any]) -> bool:
    return (
        one["Value"] == other["Value"]
        and one["Unit"] == other["Unit"]
        and int(one["Timestamp"]) == int(other["Timestamp"])
        and one.get("_fine") == other.get("_fine")
        and "_stat" not in one
        and "_stat" not in other
    )


def deliver_late_points() -> None:
    """Let those points be seen whose time has come."""
    now = time.time()
    with _lock:
        due = [entry for entry in _late if entry[0] <= now]
        if due:
            _late[:] = [entry for entry in _late if entry[0] > now]
            for _, points, point in due:
                _add(points, point)


@contextmanager
def fine(resolution: object) -> Iterator[None]:
    """Write points of a high-resolution metric (``StorageResolution`` 1)."""
    token = _fine.set(resolution in (1, 1.0, "1"))
    try:
        yield
    finally:
        _fine.reset(token)


def _metric_bucket(key: tuple[str, str, str]) -> Series:
    with _lock:
        return Series(_stock_metric_bucket(key))


def _evict_old_metrics() -> None:
    oldest = time.time() - cloudwatch.TWO_WEEKS_SECONDS
    with _lock:
        for key, points in cloudwatch._metrics.items():
            if points and points[0]["Timestamp"] < oldest:
                cloudwatch._metrics[key] = [point for point in points if point["Timestamp"] >= oldest]


def _put_metric_data(
    params: dict[str, Any], cbor_data: dict[str, Any], is_cbor: bool, is_json: bool = False
) -> Any:
    if is_cbor or is_json:
        given = [datum.get("StorageResolution") for datum in cbor_data.get("MetricData", [])]
    else:
        names = len([name for name in params if name.endswith(".MetricName")])
        members = (f"MetricData.member.{number + 1}.StorageResolution" for number in range(names))
        given = [cloudwatch._p(params, member) for member in members]
    token = _resolutions.set(iter(given))
    try:
        return _stock_put_metric_data(params, cbor_data, is_cbor, is_json)
    finally:
        _resolutions.reset(token)


def _store_datum(*args: Any) -> None:
    with fine(next(_resolutions.get() or iter(()), None)):
        _stock_store_datum(*args)


async def _handle_request(*args: Any) -> Any:
    deliver_late_points()
    return await _stock_handle_request(*args)


def _counted(stock: Callable[..., Any]) -> Callable[..., Any]:
    def execute(func: dict[str, Any], event: Any) -> Any:
        config = func.get("config") or func
        if lambda_svc._function_config_scope_mismatch(config):
            return stock(func, event)  # comes back here in the function's own account
        dimensions = dimension_sets(config)
        started = time.time()
        with _running_now(dimensions) as running:
            result = stock(func, event)
        for entry, count in zip(dimensions, running, strict=True):
            _record(entry, started, result, count)
        return result

    return execute


def dimension_sets(config: dict[str, Any]) -> list[Dimensions]:
    """Return the sets of dimensions under which a call of this version, as it was called, is counted."""
    name = str(config.get("FunctionName", ""))
    qualifier = str(config.get("FunctionArn", "")).partition(f":function:{name}:")[2]
    resource = f"{name}:{qualifier}" if qualifier else name
    sets = [{}, {"FunctionName": name}, {"FunctionName": name, "Resource": resource}]
    alias = ((lambda_svc._functions.get(name) or {}).get("aliases") or {}).get(qualifier) or {}
    if (alias.get("RoutingConfig") or {}).get("AdditionalVersionWeights"):
        sets.append({**sets[-1], "ExecutedVersion": str(config.get("Version", "$LATEST"))})
    return sets


@contextmanager
def _running_now(dimensions: list[Dimensions]) -> Iterator[list[int]]:
    keys = [f"{lambda_svc.get_account_id()}|{cloudwatch._dims_key(entry)}" for entry in dimensions]
    with _lock:
        _running.update(keys)
        counts = [_running[key] for key in keys]
    try:
        yield counts
    finally:
        with _lock:
            _running.subtract(keys)
            for key in keys:
                if not _running[key]:
                    del _running[key]


def _record(dimensions: Dimensions, started: float, result: dict[str, Any], running: int) -> None:
    if result.get("throttle"):
        values = [("Throttles", 1.0, "Count")]
    else:
        duration = result.get("duration_ms", (time.time() - started) * 1000)
        values = [
            ("Invocations", 1.0, "Count"),
            ("Errors", 1.0 if result.get("error") else 0.0, "Count"),
            ("Throttles", 0.0, "Count"),
            ("Duration", round(duration, 2), "Milliseconds"),
            ("ConcurrentExecutions", float(running), "Count"),
        ]
    for name, value, unit in values:
        point = {"Timestamp": started, "Value": value, "Unit": unit, "Dimensions": dict(dimensions)}
        _metric_bucket((_NAMESPACE, name, cloudwatch._dims_key(dimensions))).append(point)


def install() -> None:
    """Count calls where all of them pass, and write points through ``Series``."""
    lambda_svc._execute_function = _counted(lambda_svc._execute_function)
    lambda_svc._emit_lambda_metrics = lambda *_, **__: None  # counted above, once
    cloudwatch._metric_bucket = _metric_bucket
    cloudwatch._evict_old_metrics = _evict_old_metrics
    cloudwatch._put_metric_data = _put_metric_data
    cloudwatch._store_datum = _store_datum
    cloudwatch.handle_request = _handle_request
