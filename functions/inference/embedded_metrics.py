"""What a request counts as: CloudWatch metrics inside the log line that is written anyway.

Law 11: two sets of dimensions, ``{model}`` and ``{model, version}``, whatever callers send, and a fixed
list of metrics. The alias, the request's id and all else that has many values stand in the line beside them.

| metric | on which lines |
|---|---|
| ``Invocations`` 1 | all |
| ``Faults`` 1 or 0 | all: its average is the rate |
| ``ColdStarts`` 1 | the first of an environment |
| ``Latency`` ms | inferences: health checks would make it look better than it is |
| ``ModelLatency``, ``Overhead`` ms, ``Rows``, ``PayloadBytes`` | inferences that were answered |

A mirrored request counts apart, with ``{model, version}`` alone (``shadow_metrics``).
Source: "Specification: CloudWatch embedded metric format".
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING, Any

import orjson

from model_store.contract.deployment import metrics_namespace
from model_store.contract.environment import (
    COLD_STARTS_METRIC,
    FAULTS_METRIC,
    INVOCATIONS_METRIC,
    LATENCY_METRIC,
    MODEL_LATENCY_METRIC,
    OVERHEAD_METRIC,
    PAYLOAD_BYTES_METRIC,
    ROWS_METRIC,
)

if TYPE_CHECKING:
    from functions.protocol.encoded import Work

DIMENSIONS = (("model",), ("model", "version"))

_UNITS = {
    LATENCY_METRIC: "Milliseconds",
    MODEL_LATENCY_METRIC: "Milliseconds",
    OVERHEAD_METRIC: "Milliseconds",
    PAYLOAD_BYTES_METRIC: "Bytes",
}


def embedded_metrics(
    line: dict[str, Any], labels: Mapping[str, str], *, cold: bool = False, work: Work | None = None
) -> None:
    """Add to the line of a request what makes metrics of it; nothing without a stage and a version.

    Reads ``status``, ``ms`` and ``route`` of the line. An endpoint's work has no ``Rows``: what was
    sent to it is not read on the way.
    """
    if not labels.get("stage") or not labels.get("version"):
        return
    ms = line["ms"]
    inferred = line["route"].endswith("infer")
    line[INVOCATIONS_METRIC] = 1
    line[FAULTS_METRIC] = 1 if line["status"] >= 500 else 0
    if cold:
        line[COLD_STARTS_METRIC] = 1
    if inferred:
        line[LATENCY_METRIC] = ms
    rows = None
    if work is not None:
        model_ms, rows, line[PAYLOAD_BYTES_METRIC] = work
        line[MODEL_LATENCY_METRIC] = model_ms = round(model_ms, 3)
        line[OVERHEAD_METRIC] = round(ms - model_ms, 3)
        if rows is not None:
            line[ROWS_METRIC] = rows
    line["_aws"] = {
        "Timestamp": round(time.time() * 1000),
        "CloudWatchMetrics": _directives(labels["stage"], cold, inferred, work is not None, rows is not None),
    }


@cache
def _directives(stage: str, cold: bool, inferred: bool, worked: bool, counted: bool) -> orjson.Fragment:
    """What tells CloudWatch which members are metrics, written once: there are few kinds of lines."""
    names = [INVOCATIONS_METRIC, FAULTS_METRIC]
    names += [COLD_STARTS_METRIC] * cold + [LATENCY_METRIC] * inferred
    names += [MODEL_LATENCY_METRIC, OVERHEAD_METRIC, PAYLOAD_BYTES_METRIC] * worked + [ROWS_METRIC] * counted
    metrics = [{"Name": name, "Unit": _UNITS.get(name, "Count")} for name in names]
    return orjson.Fragment(
        orjson.dumps([{"Namespace": metrics_namespace(stage), "Dimensions": DIMENSIONS, "Metrics": metrics}])
    )


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
