"""What a request counts as: CloudWatch metrics inside the log line that is written anyway.

Law 11: two sets of dimensions, ``{model}`` and ``{model, version}``, whatever callers send; two metrics.
``Faults`` is 1 or 0 for every request, so its average is the rate and its count the requests.
``Latency`` is counted for inference only: health checks would make it look better than it is.
A mirrored request counts apart, with ``{model, version}`` alone (``shadow_metrics``).
Source: "Specification: CloudWatch embedded metric format".
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from functools import cache
from typing import Any

from model_store.contract.deployment import metrics_namespace
from model_store.contract.environment import FAULTS_METRIC, LATENCY_METRIC

DIMENSIONS = (("model",), ("model", "version"))


def embedded_metrics(labels: Mapping[str, str], *, route: str, status: int, ms: float) -> dict[str, Any]:
    """Members to add to the log line of a request; none without a stage and a version to count for."""
    if not labels.get("stage") or not labels.get("version"):
        return {}
    inferred = route.endswith("/infer")
    values: dict[str, Any] = {FAULTS_METRIC: 1 if status >= 500 else 0}
    if inferred:
        values[LATENCY_METRIC] = ms
    directives = _directives(labels["stage"], inferred)
    return {**values, "_aws": {"Timestamp": round(time.time() * 1000), "CloudWatchMetrics": directives}}


@cache
def _directives(stage: str, inferred: bool) -> tuple[dict[str, Any], ...]:
    """What tells CloudWatch which members are metrics: the same for every line of an environment."""
    metrics = [{"Name": FAULTS_METRIC, "Unit": "Count"}]
    if inferred:
        metrics.append({"Name": LATENCY_METRIC, "Unit": "Milliseconds"})
    return ({"Namespace": metrics_namespace(stage), "Dimensions": DIMENSIONS, "Metrics": metrics},)


def shadow_metrics(labels: Mapping[str, str], values: Mapping[str, float]) -> dict[str, Any]:
    """Members to add to the line of a mirrored request: ``values``, by model and version.

    None of them is ``Faults`` or ``Latency``: what nobody was answered takes no release back.
    """
    if not labels.get("stage") or not labels.get("version"):
        return {}
    metrics = [
        {"Name": name, "Unit": "Milliseconds" if name.endswith("Latency") else "Count"} for name in values
    ]
    directive = {
        "Namespace": metrics_namespace(labels["stage"]),
        "Dimensions": DIMENSIONS[1:],
        "Metrics": metrics,
    }
    return {**values, "_aws": {"Timestamp": round(time.time() * 1000), "CloudWatchMetrics": [directive]}}
