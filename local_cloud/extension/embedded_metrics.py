"""Log lines in the embedded metric format become metrics, whoever writes them.

Stock: such lines are log lines and nothing more.
AWS: "Specification: CloudWatch embedded metric format": each directive of ``_aws.CloudWatchMetrics`` names a
namespace, sets of dimensions and metrics; values and dimensions are members of the same document; a value is
a number or an array of at most 100; a set that names a missing member, or more than 30, is not used;
``StorageResolution`` 1 makes a high-resolution metric; ``_aws.Timestamp`` dates the points.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from ministack.services import cloudwatch, cloudwatch_logs

from local_cloud.extension import metrics

MAX_DIMENSIONS = 30
MAX_METRICS = 100
MAX_VALUES = 100

_stock_append_log_events = cloudwatch_logs._append_log_events


def _append_log_events(stream: dict[str, Any], events: list[dict[str, Any]]) -> None:
    _stock_append_log_events(stream, events)
    for event in events:
        line = event.get("message", "")
        if '"CloudWatchMetrics"' in line and '"_aws"' in line:
            _record(line, event["timestamp"])


def _record(line: str, logged_ms: int) -> None:
    try:
        document = json.loads(line)
    except ValueError:
        return
    if not isinstance(document, dict) or not isinstance(document.get("_aws"), dict):
        return
    about = document["_aws"]
    at = float(about.get("Timestamp") or logged_ms) / 1000
    for directive in about.get("CloudWatchMetrics") or []:
        for dimensions in _dimension_sets(directive, document):
            _write(str(directive.get("Namespace", "")), directive, document, dimensions, at)


def _dimension_sets(directive: dict[str, Any], document: dict[str, Any]) -> Iterator[dict[str, str]]:
    for names in directive.get("Dimensions") or [[]]:
        if len(names) <= MAX_DIMENSIONS and all(isinstance(document.get(name), str) for name in names):
            yield {name: document[name] for name in names}


def _write(
    namespace: str,
    directive: dict[str, Any],
    document: dict[str, Any],
    dimensions: dict[str, str],
    at: float,
) -> None:
    for metric in (directive.get("Metrics") or [])[:MAX_METRICS]:
        name, unit = str(metric.get("Name", "")), str(metric.get("Unit") or "None")
        series = cloudwatch._metric_bucket((namespace, name, cloudwatch._dims_key(dimensions)))
        with metrics.fine(metric.get("StorageResolution")):
            for value in _numbers(document.get(name)):
                series.append({"Timestamp": at, "Value": value, "Unit": unit, "Dimensions": dimensions})


def _numbers(value: Any) -> list[float]:
    values = value if isinstance(value, list) else [value]
    return [float(each) for each in values[:MAX_VALUES] if type(each) in (int, float)]


def install() -> None:
    """Read every line that is logged."""
    cloudwatch_logs._append_log_events = _append_log_events
