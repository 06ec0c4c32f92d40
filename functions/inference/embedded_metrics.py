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
from typing import Any

from model_store.contract.deployment import metrics_namespace
from model_store.contract.environment import FAULTS_METRIC, LATENCY_METRIC

DIMENSIONS = (("model",), ("model", "version"))


def embedded_metrics(labels: Mapping[str, str], *, route: str, status: int, ms: float) -> dict[str, Any]:
    """Members to add to the log line of a request; none without a stage and a version to count for."""
    if not labels.get("stage") or not labels.get("version"):
        return {}
    values: dict[str, Any] = {FAULTS_METRIC: 1 if status >= 500 else 0}
    metrics = [{"Name": FAULTS_METRIC, "Unit": "Count"}]
    if route.endswith("/infer"):
        values[LATENCY_METRIC] = ms
        metrics.append({"Name": LATENCY_METRIC, "Unit": "Milliseconds"})
    return {**values, "_aws": _about(labels["stage"], metrics, DIMENSIONS)}


def shadow_metrics(labels: Mapping[str, str], values: Mapping[str, float]) -> dict[str, Any]:
    """Members to add to the line of a mirrored request: ``values``, by model and version.

    None of them is ``Faults`` or ``Latency``: what nobody was answered takes no release back.
    """
    if not labels.get("stage") or not labels.get("version"):
        return {}
    metrics = [
        {"Name": name, "Unit": "Milliseconds" if name.endswith("Latency") else "Count"} for name in values
    ]
    return {**values, "_aws": _about(labels["stage"], metrics, DIMENSIONS[1:])}


def _about(
    stage: str, metrics: list[dict[str, str]], dimensions: tuple[tuple[str, ...], ...]
) -> dict[str, Any]:
    directive = {"Namespace": metrics_namespace(stage), "Dimensions": dimensions, "Metrics": metrics}
    return {"Timestamp": round(time.time() * 1000), "CloudWatchMetrics": [directive]}
