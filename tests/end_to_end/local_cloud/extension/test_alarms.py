"""Alarms as a release waits for them: on their own metric, by the clock, with news of every change."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
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
