"""``infra.stacks.monitor``: asked once an hour, may read what it compares, and alarms on each number."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from drift import compare
from infra.stacks import monitor
from tests.infrastructure.conftest import text_of

if TYPE_CHECKING:
    from tests.infrastructure.conftest import Deployed

METRICS = {
    "drift": "DriftPsi",
    "category-shift": "CategoryShift",
    "missing-values": "MissingRate",
    "out-of-range": "OutOfRangeRate",
    "output-drift": "OutputDrift",
    "accuracy": "Accuracy",
}


def alarms(stage: Deployed, model: str) -> dict[str, dict[str, Any]]:
    prefix = f"switchyard/{stage.stage}/{model}/"
    found = [
        resource["Properties"] for resource in stage.resources("Monitor", "AWS::CloudWatch::Alarm").values()
    ]
    return {
        alarm["AlarmName"].removeprefix(prefix): alarm
        for alarm in found
        if alarm["AlarmName"].startswith(prefix)
    }


def test_it_is_asked_once_an_hour_and_by_its_own_rule_only(stage: Deployed) -> None:
    (rule,) = stage.resources("Monitor", "AWS::Events::Rule").items()
    assert rule[1]["Properties"]["ScheduleExpression"] == "rate(1 hour)"
    assert json.loads(rule[1]["Properties"]["Targets"][0]["Input"]) == {"action": "compare"}
    permission = stage.only("Monitor", "AWS::Lambda::Permission")["Properties"]
    assert text_of(permission["SourceArn"]) == f"<{rule[0]}.Arn>"


def test_it_knows_the_models_whose_requests_are_kept_and_their_windows(stage: Deployed) -> None:
    function = stage.only("Monitor", "AWS::Lambda::Function")["Properties"]
    told = json.loads(function["Environment"]["Variables"]["SWITCHYARD_MONITORED"])
    assert told == [{"model": "fraud-eu", "window_hours": 48}, {"model": "bert", "window_hours": 24}]
    assert (function["Timeout"], function["MemorySize"]) == (900, 2_048)


def test_it_reads_rows_labels_and_baselines_and_writes_reports_only(stage: Deployed) -> None:
    may = {found["Sid"]: found for found in stage.statements("Monitor") if "Sid" in found}
    written = [sid for sid, found in may.items() if "s3:PutObject" in found["Action"]]
    assert written == ["WriteReports"]
    assert text_of(may["WriteReports"]["Resource"]).endswith("/reports/*")
    read = [text_of(resource) for resource in may["ReadBaselines"]["Resource"]]
    assert {resource.partition("/models/")[2] for resource in read} == {
        *("*/versions/*", "*/removed/*", "*/baselines/*"),
    }
    captured = [text_of(resource) for resource in may["ReadCaptured"]["Resource"]]
    assert {resource.partition("/")[2] for resource in captured} == {"captured/*", "truth/*", "reports/*"}
    actions = {action for found in may.values() for action in found["Action"]}
    assert not any(action.startswith(("lambda:", "cloudwatch:", "iam:")) for action in actions)


@pytest.mark.parametrize(
    ("model", "limit", "kinds"),
    [("fraud-eu", 0.2, set(METRICS)), ("bert", 0.25, set(METRICS) - {"accuracy"})],
)
def test_each_number_of_a_model_has_an_alarm(
    stage: Deployed, model: str, limit: float, kinds: set[str]
) -> None:
    found = alarms(stage, model)
    assert set(found) == kinds
    for what, alarm in found.items():
        assert alarm["MetricName"] == METRICS[what]
        assert alarm["Namespace"] == f"Switchyard/{stage.stage}"
        # Law 11: the model, whichever version answers, and no dimension more.
        assert alarm["Dimensions"] == [{"Name": "model", "Value": model}]
        assert text_of(alarm["AlarmActions"][0]).endswith(f":switchyard-{stage.stage}-Alarms")
        assert alarm["TreatMissingData"] == "notBreaching"
        assert f"yard drift {model}" in alarm["AlarmDescription"]
    assert found["drift"]["Threshold"] == found["output-drift"]["Threshold"] == limit
    if "accuracy" in found:
        assert (found["accuracy"]["Threshold"], found["accuracy"]["ComparisonOperator"]) == (
            0.9,
            "LessThanThreshold",
        )


def test_alarms_and_reports_mean_the_same_limits() -> None:
    assert (monitor.CATEGORY_LIMIT, monitor.MISSING_LIMIT, monitor.OUT_OF_RANGE_LIMIT) == (
        compare.CATEGORY_LIMIT,
        compare.MISSING_LIMIT,
        compare.OUT_OF_RANGE_LIMIT,
    )


def test_a_model_that_keeps_nothing_is_not_judged(stage: Deployed) -> None:
    assert alarms(stage, "digits") == {}
