"""``functions.inference.embedded_metrics``: which requests count as what."""

from __future__ import annotations

import time

import pytest

from functions.inference.embedded_metrics import embedded_metrics, shadow_metrics

LABELS = {"model": "digits", "version": "3", "stage": "prod"}
INFER = "/v2/models/{model}/infer"


def test_dimensions_are_model_and_version_and_nothing_that_callers_decide() -> None:
    """Law 11: metrics are bounded and per version."""
    found = embedded_metrics(LABELS, route=INFER, status=200, ms=4.5)
    (directive,) = found["_aws"]["CloudWatchMetrics"]
    assert directive["Dimensions"] == (("model",), ("model", "version"))
    assert directive["Namespace"] == "Switchyard/prod"
    assert (found["Faults"], found["Latency"]) == (0, 4.5)
    assert abs(found["_aws"]["Timestamp"] / 1000 - time.time()) < 60


@pytest.mark.parametrize(("status", "faults"), [(200, 0), (400, 0), (422, 0), (499, 0), (500, 1), (503, 1)])
def test_only_answers_of_500_and_above_are_faults(status: int, faults: int) -> None:
    assert embedded_metrics(LABELS, route=INFER, status=status, ms=1.0)["Faults"] == faults


def test_health_checks_do_not_make_latency_look_better() -> None:
    found = embedded_metrics(LABELS, route="/v2/models/{model}/ready", status=200, ms=0.1)
    assert "Latency" not in found
    (directive,) = found["_aws"]["CloudWatchMetrics"]
    assert [metric["Name"] for metric in directive["Metrics"]] == ["Faults"]


@pytest.mark.parametrize("missing", ["version", "stage"])
def test_what_is_not_released_or_not_deployed_counts_as_nothing(missing: str) -> None:
    assert embedded_metrics({**LABELS, missing: ""}, route=INFER, status=503, ms=1.0) == {}


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
