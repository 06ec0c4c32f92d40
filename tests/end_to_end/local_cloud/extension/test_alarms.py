"""Alarms as a release waits for them: on their own metric, by the clock, with news of every change."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import pytest

pytestmark = pytest.mark.cloud

MINUTE_S = 0.6
NAMESPACE = "Test"


@contextmanager
def minutes_of(account: Any, seconds: float) -> Iterator[None]:
    """Let a minute of CloudWatch last so long."""
    account.day(minute_s=seconds)
    yield
    account.day()


@pytest.fixture
def fast_minutes(account: Any) -> Iterator[None]:
    with minutes_of(account, MINUTE_S):
        yield


def metric() -> str:
    return f"m{uuid.uuid4().hex[:8]}"


def put(account: Any, name: str, value: float, **more: Any) -> None:
    datum = {"MetricName": name, "Value": value, **more}
    account.client("cloudwatch").put_metric_data(Namespace=NAMESPACE, MetricData=[datum])


def alarm(account: Any, name: str, **settings: Any) -> str:
    """Create an alarm that wants every point of ``name`` below 1."""
    arguments = {
        "AlarmName": f"on-{uuid.uuid4().hex[:8]}",
        "Namespace": NAMESPACE,
        "MetricName": name,
        "Statistic": "Sum",
        "Period": 60,
        "EvaluationPeriods": 1,
        "Threshold": 1.0,
        "ComparisonOperator": "GreaterThanOrEqualToThreshold",
        "TreatMissingData": "notBreaching",
        **settings,
    }
    account.client("cloudwatch").put_metric_alarm(**arguments)
    return str(arguments["AlarmName"])


def state(account: Any, name: str) -> str:
    found = account.client("cloudwatch").describe_alarms(AlarmNames=[name])["MetricAlarms"]
    return str(found[0]["StateValue"])


def within(seconds: float, condition: Callable[[], bool]) -> bool:
    """Whether the condition comes true in time."""
    end = time.monotonic() + seconds
    while not (done := condition()) and time.monotonic() < end:
        time.sleep(0.03)
    return done


def next_minute() -> None:
    """Wait for the beginning of a minute, so that all points of a test fall into one."""
    time.sleep(MINUTE_S - time.time() % MINUTE_S + 0.02)


def test_an_alarm_goes_off_and_calms_down_by_the_clock(account: Any, fast_minutes: None) -> None:
    name = metric()
    watching = alarm(account, name)
    assert within(2, lambda: state(account, watching) == "OK")
    put(account, name, 1.0)
    assert within(3 * MINUTE_S, lambda: state(account, watching) == "ALARM")
    assert within(6 * MINUTE_S, lambda: state(account, watching) == "OK")


def test_an_alarm_looks_at_its_own_dimensions_only(account: Any, fast_minutes: None) -> None:
    name = metric()
    mine, other = [{"Name": "Version", "Value": "4"}], [{"Name": "Version", "Value": "3"}]
    watching = alarm(account, name, Dimensions=mine)
    put(account, name, 5.0, Dimensions=other)
    put(account, name, 5.0)
    time.sleep(3 * MINUTE_S)
    assert state(account, watching) == "OK"
    put(account, name, 5.0, Dimensions=mine)
    assert within(3 * MINUTE_S, lambda: state(account, watching) == "ALARM")


def test_a_stock_cloud_takes_the_points_of_other_dimensions_for_its_own(stock_account: Any) -> None:
    name = metric()
    watching = alarm(stock_account, name, Dimensions=[{"Name": "Version", "Value": "4"}])
    put(stock_account, name, 5.0, Dimensions=[{"Name": "Version", "Value": "3"}])
    assert state(stock_account, watching) == "ALARM"


def test_an_alarm_waits_for_m_of_n_points(account: Any, fast_minutes: None) -> None:
    name = metric()
    watching = alarm(account, name, EvaluationPeriods=3, DatapointsToAlarm=2)
    next_minute()
    put(account, name, 5.0)
    time.sleep(2 * MINUTE_S)
    assert state(account, watching) == "OK"
    put(account, name, 5.0)
    assert within(3 * MINUTE_S, lambda: state(account, watching) == "ALARM")


def test_an_alarm_without_data_says_so_unless_told_otherwise(account: Any, fast_minutes: None) -> None:
    name = metric()
    plain = alarm(account, name, TreatMissingData="missing")
    strict = alarm(account, name, TreatMissingData="breaching")
    assert within(3 * MINUTE_S, lambda: state(account, strict) == "ALARM")
    assert state(account, plain) == "INSUFFICIENT_DATA"


def test_an_alarm_on_a_percentile_ignores_the_ordinary_case(account: Any, fast_minutes: None) -> None:
    name = metric()
    settings = {"ExtendedStatistic": "p50", "Threshold": 50.0}
    watching = alarm(account, name, **{**settings, "Statistic": "Sum"})
    next_minute()
    put(account, name, 1000.0)
    for _ in range(4):
        put(account, name, 10.0)
    time.sleep(2 * MINUTE_S)
    assert state(account, watching) == "OK"
    next_minute()
    for _ in range(4):
        put(account, name, 60.0)
    assert within(3 * MINUTE_S, lambda: state(account, watching) == "ALARM")


def test_ten_seconds_are_enough_for_a_metric_of_high_resolution_only(account: Any) -> None:
    minute_s = 6.0
    fine, coarse = metric(), metric()
    with minutes_of(account, minute_s):
        on_fine, on_coarse = alarm(account, fine, Period=10), alarm(account, coarse, Period=10)
        # The coarse point is dated to the whole minute: then that is further back than these alarms look.
        time.sleep((minute_s * 0.8 - time.time()) % minute_s)
        put(account, fine, 1.0, StorageResolution=1)
        put(account, coarse, 1.0)
        assert within(3, lambda: state(account, on_fine) == "ALARM")
        assert state(account, on_coarse) == "OK"


def test_a_change_is_told_to_the_topic_and_to_event_bridge(account: Any, fast_minutes: None) -> None:
    sqs, sns, events = (account.client(service) for service in ("sqs", "sns", "events"))
    name, queue = metric(), sqs.create_queue(QueueName=metric())["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    topic = sns.create_topic(Name=name)["TopicArn"]
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn, Attributes={"RawMessageDelivery": "true"})
    watching = alarm(account, name, AlarmActions=[topic])
    pattern = {"source": ["aws.cloudwatch"], "detail": {"alarmName": [watching]}}
    events.put_rule(Name=name, EventPattern=json.dumps(pattern))
    events.put_targets(Rule=name, Targets=[{"Id": "queue", "Arn": arn}])
    put(account, name, 1.0)
    messages: list[dict[str, Any]] = []

    def told() -> bool:
        found = sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10, WaitTimeSeconds=1)
        messages.extend(json.loads(message["Body"]) for message in found.get("Messages", []))
        states = [m.get("NewStateValue") or m["detail"]["state"]["value"] for m in messages]
        return states.count("ALARM") == 2

    assert within(6, told), messages
    event = next(m for m in messages if m.get("detail", {}).get("state", {}).get("value") == "ALARM")
    assert event["detail-type"] == "CloudWatch Alarm State Change"
    assert event["detail"]["previousState"]["value"] == "OK"
    assert "greater than or equal to the threshold" in event["detail"]["state"]["reason"]
    assert event["resources"][0].endswith(f":alarm:{watching}")


def test_an_alarm_that_was_deleted_says_nothing_any_more(account: Any, fast_minutes: None) -> None:
    name = metric()
    watching = alarm(account, name)
    account.client("cloudwatch").delete_alarms(AlarmNames=[watching])
    put(account, name, 5.0)
    time.sleep(2 * MINUTE_S)
    assert account.client("cloudwatch").describe_alarms(AlarmNames=[watching])["MetricAlarms"] == []


def stat(id_: str, name: str, stat: str = "Sum", **more: Any) -> dict[str, Any]:
    """A query of an alarm on math."""
    metric = {"Namespace": NAMESPACE, "MetricName": name}
    return {"Id": id_, "MetricStat": {"Metric": metric, "Period": 60, "Stat": stat}, **more}


def on_math(account: Any, queries: list[dict[str, Any]], **settings: Any) -> str:
    arguments = {
        "AlarmName": f"on-{uuid.uuid4().hex[:8]}",
        "Metrics": queries,
        "EvaluationPeriods": 1,
        "ComparisonOperator": "GreaterThanThreshold",
        "TreatMissingData": "notBreaching",
        **settings,
    }
    account.client("cloudwatch").put_metric_alarm(**arguments)
    return str(arguments["AlarmName"])


def test_an_alarm_on_math_goes_off_on_the_share_and_not_on_the_count(
    account: Any, fast_minutes: None
) -> None:
    errors, requests = metric(), metric()
    rate = {"Id": "rate", "Expression": "IF(requests >= 5, 100 * errors / requests, 0)"}
    queries = [
        stat("errors", errors, ReturnData=False),
        stat("requests", requests, ReturnData=False),
        rate,
    ]
    watching = on_math(account, queries, Threshold=10.0)
    next_minute()
    put(account, errors, 1.0)
    put(account, requests, 3.0)
    time.sleep(2 * MINUTE_S)
    assert state(account, watching) == "OK"
    next_minute()
    put(account, errors, 1.0)
    put(account, requests, 8.0)
    assert within(4 * MINUTE_S, lambda: state(account, watching) == "ALARM")
    (kept,) = account.client("cloudwatch").describe_alarms(AlarmNames=[watching])["MetricAlarms"]
    assert [query["Id"] for query in kept["Metrics"]] == ["errors", "requests", "rate"]
    assert "12.5" in kept["StateReason"]


def test_a_band_is_left_by_what_was_never_seen_before(account: Any, fast_minutes: None) -> None:
    """The first alarm has a history of six minutes, the second none: nothing is expected of it yet."""
    known, unknown = metric(), metric()
    now = time.time()
    for number in range(2, 8):
        at = datetime.fromtimestamp(now - MINUTE_S * (number + 3), UTC)
        put(account, known, 100.0 + number % 2, Timestamp=at)
    settings = {
        "ThresholdMetricId": "band",
        "ComparisonOperator": "LessThanLowerOrGreaterThanUpperThreshold",
    }
    band = {"Id": "band", "Expression": "ANOMALY_DETECTION_BAND(m1, 3)"}
    on_known, on_unknown = (
        on_math(account, [stat("m1", name), band], **settings) for name in (known, unknown)
    )
    next_minute()
    for name in (known, unknown):
        put(account, name, 500.0)
    assert within(4 * MINUTE_S, lambda: state(account, on_known) == "ALARM")
    assert state(account, on_unknown) == "OK"
    (kept,) = account.client("cloudwatch").describe_alarms(AlarmNames=[on_known])["MetricAlarms"]
    assert "greater than the upper thresholds [" in kept["StateReason"]


def test_a_stock_cloud_drops_what_an_alarm_on_math_is_about(stock_account: Any) -> None:
    queries = [stat("m1", metric(), ReturnData=False), {"Id": "twice", "Expression": "m1 * 2"}]
    watching = on_math(stock_account, queries, Threshold=1.0)
    (kept,) = stock_account.client("cloudwatch").describe_alarms(AlarmNames=[watching])["MetricAlarms"]
    assert "Metrics" not in kept


def heard(account: Any) -> tuple[str, Callable[[], list[dict[str, Any]]]]:
    """A topic, and what it was told so far."""
    sqs, sns = account.client("sqs"), account.client("sns")
    name = metric()
    queue = sqs.create_queue(QueueName=name)["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    topic = sns.create_topic(Name=name)["TopicArn"]
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn, Attributes={"RawMessageDelivery": "true"})
    messages: list[dict[str, Any]] = []

    def told() -> list[dict[str, Any]]:
        found = sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10, WaitTimeSeconds=1)
        messages.extend(json.loads(message["Body"]) for message in found.get("Messages", []))
        return messages

    return topic, told


def test_a_stack_of_alarms_is_judged_together_and_its_topic_is_told_who_set_it_off(
    account: Any, fast_minutes: None
) -> None:
    """Quiet for want of requests is pain only where it is not quiet all day."""
    topic, told = heard(account)
    faults, calls = metric(), metric()
    name = f"stack-{uuid.uuid4().hex[:8]}"

    def child(what: str, **properties: Any) -> dict[str, Any]:
        alarm = {"AlarmName": f"{name}/{what}", "EvaluationPeriods": 1, **properties}
        return {"Type": "AWS::CloudWatch::Alarm", "Properties": alarm}

    resources = {
        "Faults": child(
            "faults",
            Metrics=[
                stat("m1", faults, ReturnData="false"),
                {"Id": "twice", "Expression": "m1 * 2", "ReturnData": "true"},
            ],
            Threshold="3",
            ComparisonOperator="GreaterThanThreshold",
            TreatMissingData="notBreaching",
        ),
        "Idle": child(
            "idle",
            Namespace=NAMESPACE,
            MetricName=calls,
            Statistic="Sum",
            Period="60",
            Threshold="1",
            ComparisonOperator="LessThanThreshold",
            TreatMissingData="breaching",
        ),
        "Detector": {
            "Type": "AWS::CloudWatch::AnomalyDetector",
            "Properties": {"Namespace": NAMESPACE, "MetricName": calls, "Stat": "Sum"},
        },
        "Pain": {
            "Type": "AWS::CloudWatch::CompositeAlarm",
            "DependsOn": ["Faults", "Idle"],
            "Properties": {
                "AlarmName": f"{name}/pain",
                "AlarmRule": f'ALARM("{name}/faults") AND NOT ALARM("{name}/nothing") OR FALSE',
                "AlarmActions": [topic],
            },
        },
    }
    refused = account.stack(name, resources)
    assert refused["StackStatus"] == "ROLLBACK_COMPLETE"  # a rule about an alarm that is not there
    account.client("cloudformation").delete_stack(StackName=name)
    resources["Pain"]["Properties"]["AlarmRule"] = f'ALARM("{name}/faults") AND NOT OK("{name}/idle")'
    assert account.stack(name, resources)["StackStatus"] == "CREATE_COMPLETE"
    cloudwatch = account.client("cloudwatch")
    put(account, faults, 2.0)

    def pain() -> str:
        found = cloudwatch.describe_alarms(AlarmNames=[f"{name}/pain"], AlarmTypes=["CompositeAlarm"])
        return str(found["CompositeAlarms"][0]["StateValue"])

    assert within(10, lambda: any(message["NewStateValue"] == "ALARM" for message in told()))
    first = next(message for message in told() if message["NewStateValue"] == "ALARM")
    assert first["AlarmName"] == f"{name}/pain"
    arns = [child["Arn"].rpartition(":alarm:")[2] for child in first["TriggeringChildren"]]
    assert f"{name}/faults" in arns
    assert within(6 * MINUTE_S, lambda: pain() == "OK")
    account.client("cloudformation").delete_stack(StackName=name)

    def left() -> list[Any]:
        kinds = ["CompositeAlarm", "MetricAlarm"]
        found = cloudwatch.describe_alarms(AlarmNamePrefix=name, AlarmTypes=kinds)
        return [*found["MetricAlarms"], *found["CompositeAlarms"]]

    assert within(10, lambda: left() == [])


def test_a_topic_is_told_what_aws_tells(account: Any, fast_minutes: None) -> None:
    topic, told = heard(account)
    name = metric()
    watching = alarm(account, name, AlarmActions=[topic], Dimensions=[{"Name": "model", "Value": "digits"}])
    put(account, name, 1.0, Dimensions=[{"Name": "model", "Value": "digits"}])
    assert within(10, lambda: any(message["NewStateValue"] == "ALARM" for message in told()))
    message = told()[-1]
    assert (message["AlarmName"], message["Region"]) == (watching, "US East (N. Virginia)")
    assert message["AlarmArn"].endswith(f":alarm:{watching}")
    trigger = message["Trigger"]
    assert trigger["Dimensions"] == [{"value": "digits", "name": "model"}]
    assert (trigger["StatisticType"], trigger["Statistic"], trigger["Threshold"]) == ("Statistic", "SUM", 1.0)
