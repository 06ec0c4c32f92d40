"""``infra.constructs.model_alarms``: each alarm of a model and of its aliases, and what none of them may do."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest

from tests.infrastructure.conftest import text_of

if TYPE_CHECKING:
    from tests.infrastructure.conftest import Deployed

METRIC, COMPOSITE = "AWS::CloudWatch::Alarm", "AWS::CloudWatch::CompositeAlarm"
DETECTOR = "AWS::CloudWatch::AnomalyDetector"
TOLD = {"start-failures", "latency-band", "no-traffic", "traffic-band", "user-pain"}
"""Who speaks. The others are parts of user pain, or of silence, and would say the same twice."""


def alarms(stage: Deployed, model: str = "fraud-eu") -> dict[str, dict[str, Any]]:
    """By what follows the model in the name, both kinds."""
    prefix = f"switchyard/{stage.stage}/{model}/"
    found = {}
    for type_ in (METRIC, COMPOSITE):
        for resource in stage.resources(f"Model-{model}", type_).values():
            name = resource["Properties"]["AlarmName"]
            found[name.removeprefix(prefix)] = resource["Properties"]
    return {name: found[name] for name in found if "Endpoint/" not in name}


def metric_of(alarm: dict[str, Any]) -> tuple[str, str, dict[str, str]]:
    return (
        alarm["Namespace"],
        alarm["MetricName"],
        {item["Name"]: item["Value"] for item in alarm["Dimensions"]},
    )


def queries(alarm: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {query["Id"]: query for query in alarm["Metrics"]}


def test_every_alias_and_every_model_has_its_alarms(stage: Deployed) -> None:
    of_an_alias = ("errors", "throttles", "silent", "idle", "no-traffic", "traffic-band", "user-pain")
    assert set(alarms(stage)) == {
        *("faults", "p99", "start-failures", "latency-band"),
        *(f"Alias/{alias}/{what}" for alias in ("live", "candidate") for what in of_an_alias),
    }
    assert "Alias/live/user-pain" in alarms(stage, "bert")


def test_a_share_of_faults_is_judged_from_enough_requests_on(stage: Deployed) -> None:
    faults = alarms(stage)["faults"]
    asked = queries(faults)
    assert asked["share"]["Expression"] == "IF(all >= 20, 100 * bad / all, 0)"
    for name, statistic in (("bad", "Sum"), ("all", "SampleCount")):
        about = asked[name]["MetricStat"]
        assert metric_of(about["Metric"]) == (
            f"Switchyard/{stage.stage}",
            "Faults",
            {"model": "fraud-eu"},
        )
        assert (about["Stat"], about["Period"], asked[name]["ReturnData"]) == (statistic, 60, False)
    assert (faults["Threshold"], faults["EvaluationPeriods"], faults["DatapointsToAlarm"]) == (1, 3, 2)


@pytest.mark.parametrize("alias", ["live", "candidate"])
def test_errors_and_throttles_are_lambdas_own_of_that_alias(stage: Deployed, alias: str) -> None:
    function = f"switchyard-{stage.stage}-fraud-eu"
    called = {"FunctionName": function, "Resource": f"{function}:{alias}"}
    errors = queries(alarms(stage)[f"Alias/{alias}/errors"])
    assert metric_of(errors["bad"]["MetricStat"]["Metric"]) == ("AWS/Lambda", "Errors", called)
    assert metric_of(errors["all"]["MetricStat"]["Metric"]) == ("AWS/Lambda", "Invocations", called)
    throttles = alarms(stage)[f"Alias/{alias}/throttles"]
    assert metric_of(throttles) == ("AWS/Lambda", "Throttles", called)
    assert throttles["Threshold"] == 1


def test_the_slowest_hundredth_is_alarmed_on_near_the_time_out(stage: Deployed) -> None:
    p99 = alarms(stage)["p99"]
    assert metric_of(p99) == (f"Switchyard/{stage.stage}", "Latency", {"model": "fraud-eu"})
    assert (p99["ExtendedStatistic"], p99["Threshold"]) == ("p99", 29_000 * 0.8)


def test_environments_that_could_not_start_are_told_at_once(stage: Deployed) -> None:
    failed = alarms(stage)["start-failures"]
    assert metric_of(failed) == (f"Switchyard/{stage.stage}", "StartFailures", {"model": "fraud-eu"})
    assert (failed["Threshold"], failed["EvaluationPeriods"]) == (1, 1)


def test_silence_is_news_only_where_the_day_was_busy(stage: Deployed) -> None:
    silent, idle = (alarms(stage)[f"Alias/live/{what}"] for what in ("silent", "idle"))
    assert (silent["Period"], silent["EvaluationPeriods"], silent["Threshold"]) == (300, 3, 1)
    assert (idle["Period"], idle["Threshold"]) == (86_400, 1_000)
    assert silent["TreatMissingData"] == idle["TreatMissingData"] == "breaching"
    told = alarms(stage)["Alias/live/no-traffic"]
    assert told["AlarmRule"] == (f'ALARM("{silent["AlarmName"]}") AND NOT ALARM("{idle["AlarmName"]}")')


@pytest.mark.parametrize(
    ("name", "metric", "operator"),
    [
        pytest.param("latency-band", "Latency", "GreaterThanUpperThreshold", id="latency"),
        pytest.param(
            "Alias/live/traffic-band",
            "Invocations",
            "LessThanLowerOrGreaterThanUpperThreshold",
            id="traffic",
        ),
    ],
)
def test_a_band_is_three_deviations_wide_and_has_its_detector(
    stage: Deployed, name: str, metric: str, operator: str
) -> None:
    alarm = alarms(stage)[name]
    asked = queries(alarm)
    assert (alarm["ThresholdMetricId"], alarm["ComparisonOperator"]) == ("band", operator)
    assert asked["band"]["Expression"] == "ANOMALY_DETECTION_BAND(seen, 3)"
    about = asked["seen"]["MetricStat"]
    assert about["Metric"]["MetricName"] == metric
    learned = [
        found["Properties"]["SingleMetricAnomalyDetector"]
        for found in stage.resources("Model-fraud-eu", DETECTOR).values()
    ]
    wanted = (metric, about["Stat"], about["Metric"]["Dimensions"])
    assert wanted in [(one["MetricName"], one["Stat"], one["Dimensions"]) for one in learned]


def test_pain_is_any_of_four_and_its_parts_are_there_before_it(stage: Deployed) -> None:
    rule = alarms(stage)["Alias/live/user-pain"]["AlarmRule"]
    prefix = f"switchyard/{stage.stage}/fraud-eu/"
    parts = ["faults", "p99", "Alias/live/errors", "Alias/live/throttles"]
    assert rule == " OR ".join(f'ALARM("{prefix}{part}")' for part in parts)
    made = stage.resources("Model-fraud-eu", METRIC)
    for composite in stage.resources("Model-fraud-eu", COMPOSITE).values():
        named = set(re.findall(r'ALARM\("([^"]+)"\)', composite["Properties"]["AlarmRule"]))
        before = {made[id_]["Properties"]["AlarmName"] for id_ in composite["DependsOn"]}
        assert named == before


def test_what_speaks_speaks_to_the_stages_topic_and_says_when_it_is_over(stage: Deployed) -> None:
    for name, alarm in alarms(stage).items():
        heard = [text_of(action) for action in alarm.get("AlarmActions", [])]
        assert bool(heard) == (name.rsplit("/", 1)[-1] in TOLD), name
        assert all(action.endswith(f":switchyard-{stage.stage}-Alarms") for action in heard)
        assert alarm.get("OKActions", []) == alarm.get("AlarmActions", [])


def test_every_alarm_says_whom_it_is_about(stage: Deployed) -> None:
    for name, alarm in alarms(stage).items():
        assert alarm["AlarmDescription"].startswith("fraud-eu"), name


def test_no_alarm_of_a_template_looks_at_a_version(stage: Deployed) -> None:
    """Laws 4 and 11: versions are the release controller's, and so is what can undo one."""
    for concern, template in stage.templates.items():
        for id_, resource in template["Resources"].items():
            if resource["Type"] == METRIC and "EndpointName" not in str(resource):
                assert "ExecutedVersion" not in str(resource), (concern, id_)
                assert "'version'" not in str(resource), (concern, id_)


def test_no_metric_gains_a_dimension(stage: Deployed) -> None:
    """Law 11: ours are alarmed on by model, Lambda's by function and alias."""
    allowed = {("model",), ("FunctionName", "Resource")}
    seen = set()
    for model in ("digits", "fraud-eu", "bert", "clip"):
        for alarm in alarms(stage, model).values():
            about = [alarm] if "Dimensions" in alarm else []
            about += [
                query["MetricStat"]["Metric"] for query in alarm.get("Metrics", []) if "MetricStat" in query
            ]
            seen |= {tuple(item["Name"] for item in one["Dimensions"]) for one in about}
    assert seen == allowed
