"""``functions.inference.embedded_metrics``: which requests count as what."""

from __future__ import annotations

import time
from itertools import product
from typing import Any

import orjson
import pytest

from functions.inference.embedded_metrics import embedded_metrics, shadow_metrics
from functions.protocol.encoded import Work
from model_store.contract.environment import METRICS

LABELS = {"model": "digits", "version": "3", "stage": "prod"}
INFER = "/v2/models/{model}/infer"
WORK = Work(model_ms=3.0, rows=16, request_bytes=4096)


def counted(
    *,
    labels: dict[str, str] = LABELS,
    route: str = INFER,
    status: int = 200,
    cold: bool = False,
    work: Work | None = None,
) -> dict[str, Any]:
    """What a line has more than before, as whoever reads the log sees it."""
    line: dict[str, Any] = {"route": route, "status": status, "ms": 4.5}
    before = set(line)
    embedded_metrics(line, labels, cold=cold, work=work)
    written: dict[str, Any] = orjson.loads(orjson.dumps(line))
    return {name: value for name, value in written.items() if name not in before}


def metrics_of(found: dict[str, Any]) -> list[str]:
    (directive,) = found["_aws"]["CloudWatchMetrics"]
    return [metric["Name"] for metric in directive["Metrics"]]


def test_dimensions_are_model_and_version_and_nothing_that_callers_decide() -> None:
    """Law 11: metrics are bounded and per version."""
    for work, cold, route in product((None, WORK), (True, False), (INFER, "/v2", "anything at all")):
        found = counted(work=work, cold=cold, route=route)
        (directive,) = found["_aws"]["CloudWatchMetrics"]
        assert directive["Dimensions"] == [["model"], ["model", "version"]]
        assert directive["Namespace"] == "Switchyard/prod"
        assert set(metrics_of(found)) <= set(METRICS)
        assert abs(found["_aws"]["Timestamp"] / 1000 - time.time()) < 60


def test_an_answered_inference_says_what_the_model_took_and_what_came_on_top() -> None:
    found = counted(work=WORK, cold=True)
    directives = found.pop("_aws")["CloudWatchMetrics"]
    assert found == {
        "Invocations": 1,
        "Faults": 0,
        "ColdStarts": 1,
        "Latency": 4.5,
        "ModelLatency": 3.0,
        "Overhead": 1.5,
        "PayloadBytes": 4096,
        "Rows": 16,
    }
    units = {metric["Name"]: metric["Unit"] for metric in directives[0]["Metrics"]}
    assert set(units) == set(found), "what is counted is in the line, and what is in the line is counted"
    assert {name for name, unit in units.items() if unit == "Milliseconds"} == {
        "Latency",
        "ModelLatency",
        "Overhead",
    }
    assert units["PayloadBytes"] == "Bytes"


def test_only_the_first_request_of_an_environment_is_a_cold_start() -> None:
    assert "ColdStarts" not in metrics_of(counted(cold=False))


def test_rows_that_nobody_read_are_not_counted() -> None:
    found = counted(work=Work(model_ms=3.0, rows=None, request_bytes=10))
    assert "Rows" not in found
    assert "Rows" not in metrics_of(found)


@pytest.mark.parametrize(("status", "faults"), [(200, 0), (400, 0), (422, 0), (499, 0), (500, 1), (503, 1)])
def test_only_answers_of_500_and_above_are_faults(status: int, faults: int) -> None:
    assert counted(status=status)["Faults"] == faults


def test_health_checks_do_not_make_latency_look_better() -> None:
    found = counted(route="/v2/models/{model}/ready")
    assert "Latency" not in found
    assert metrics_of(found) == ["Invocations", "Faults"]


@pytest.mark.parametrize("missing", ["version", "stage"])
def test_what_is_not_released_or_not_deployed_counts_as_nothing(missing: str) -> None:
    assert counted(labels={**LABELS, missing: ""}, status=503, work=WORK) == {}


def test_what_was_mirrored_counts_apart_and_never_as_an_answer() -> None:
    """Law 11: bounded, by model and version; and nothing that an alarm of a release looks at."""
    found = shadow_metrics(LABELS, {"ShadowAgrees": 1, "ShadowLatency": 2.5})
    (directive,) = found["_aws"]["CloudWatchMetrics"]
    assert directive["Dimensions"] == (("model", "version"),)
    assert [(metric["Name"], metric["Unit"]) for metric in directive["Metrics"]] == [
        ("ShadowAgrees", "Count"),
        ("ShadowLatency", "Milliseconds"),
    ]
    assert not {"Faults", "Latency"} & found.keys()
    assert shadow_metrics({**LABELS, "stage": ""}, {"ShadowAgrees": 1}) == {}
