"""The laws of ``telemetry.ports.Numbers``, held against the fake and against CloudWatch's interface."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

import boto3
import pytest
from botocore.stub import Stubber

from releases.errors import ServiceError
from releases.ports import Metric, SystemClock
from telemetry.adapters.cloudwatch import AT_ONCE, CloudWatchNumbers
from telemetry.adapters.memory import MemoryNumbers
from telemetry.ports import AlarmSeen, Numbers, Point, Statistic

STATISTICS: tuple[Statistic, ...] = ("Sum", "SampleCount", "Average", "Maximum", "p50", "p90")


@dataclass
class Subject:
    """What is under test, who counts, who makes alarms, and names that nobody else has."""

    numbers: Numbers
    count: Callable[..., None]
    alarm: Callable[[str, bool], None]
    namespace: str
    prefix: str

    def metric(self, name: str = "Faults", version: str = "3") -> Metric:
        return Metric(self.namespace, name, (("model", "digits"), ("version", version)))

    def series(self, *asked: tuple[Metric, Statistic], period_s: int = 86_400) -> list[list[Point]]:
        now = time.time()
        return self.numbers.series(asked, since=now - 7200, until=now + 60, period_s=period_s)


@pytest.fixture(params=["memory", pytest.param("cloudwatch", marks=pytest.mark.cloud)])
def subject(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Subject]:
    unique = uuid.uuid4().hex[:8]
    namespace, prefix = f"Switchyard/{unique}", f"switchyard/{unique}/"
    if request.param == "memory":
        fake = MemoryNumbers(SystemClock())

        def put(name: str, firing: bool) -> None:
            fake.put(AlarmSeen(name, "ALARM" if firing else "OK", time.time()))

        yield Subject(fake, fake.record, put, namespace, prefix)
        return
    for variable, value in request.getfixturevalue("cloud").environment().items():
        monkeypatch.setenv(variable, value)
    cloudwatch = boto3.client("cloudwatch")
    made: list[str] = []

    def count(metric: Metric, *values: float, at: float | None = None) -> None:
        dimensions = [{"Name": name, "Value": value} for name, value in metric.dimensions]
        datum = {"MetricName": metric.name, "Dimensions": dimensions, "Timestamp": at or time.time()}
        cloudwatch.put_metric_data(
            Namespace=metric.namespace, MetricData=[{**datum, "Value": value} for value in values]
        )

    def make(name: str, firing: bool) -> None:
        made.append(name)
        child = {"Namespace": namespace, "MetricName": "Faults", "Statistic": "Sum", "Period": 60}
        rule = {"EvaluationPeriods": 1, "Threshold": 1.0, "ComparisonOperator": "GreaterThanThreshold"}
        if name.endswith("composite"):
            cloudwatch.put_composite_alarm(
                AlarmName=name, AlarmRule=f'OK("{made[0]}")', AlarmActions=["arn:aws:sns:us-east-1:1:t"]
            )
        else:
            cloudwatch.put_metric_alarm(AlarmName=name, TreatMissingData="ignore", **child, **rule)
        if firing:
            cloudwatch.set_alarm_state(AlarmName=name, StateValue="ALARM", StateReason="a test")

    yield Subject(CloudWatchNumbers(), count, make, namespace, prefix)
    for name in sorted(made, key=lambda name: not name.endswith("composite")):
        cloudwatch.delete_alarms(AlarmNames=[name])


def test_a_reading_sees_exactly_the_series_it_names(subject: Subject) -> None:
    subject.count(subject.metric(version="3"), 1.0, 0.0, 1.0)
    subject.count(subject.metric(version="4"), 1.0)
    found = subject.series((subject.metric(version="3"), "Sum"), (subject.metric("Nothing"), "Sum"))
    assert sum(point.value for point in found[0]) == 2.0
    assert found[1] == []


def test_every_statistic_is_known(subject: Subject) -> None:
    at = time.time() - 3_600
    subject.count(subject.metric("Latency"), *[float(value) for value in range(1, 12)], at=at)
    found = subject.series(*[(subject.metric("Latency"), statistic) for statistic in STATISTICS])
    assert [[point.value for point in points] for points in found] == [
        [66.0],
        [11.0],
        [6.0],
        [11.0],
        [6.0],
        [10.0],
    ]


def test_points_tell_when_their_period_began_oldest_first(subject: Subject) -> None:
    now = time.time()
    for minutes in (5, 40):
        subject.count(subject.metric(), float(minutes), at=now - minutes * 60)
    (points,) = subject.series((subject.metric(), "Sum"), period_s=60)
    assert [point.value for point in points] == [40.0, 5.0]
    assert all(
        0 <= now - minutes * 60 - point.at < 60 for minutes, point in zip((40, 5), points, strict=True)
    )


def test_more_than_one_call_can_ask_comes_back_in_order(subject: Subject) -> None:
    subject.count(subject.metric(version="7"), 7.0)
    asked: list[tuple[Metric, Statistic]] = [
        (subject.metric(version=str(number)), "Maximum") for number in range(AT_ONCE + 8)
    ]
    asked[-1] = (subject.metric(version="7"), "Sum")
    found = subject.series(*asked)
    assert [number for number, points in enumerate(found) if points] == [7, AT_ONCE + 7]


def test_what_was_counted_is_listed_by_its_dimensions(subject: Subject) -> None:
    for version in ("3", "4"):
        subject.count(subject.metric(version=version), 1.0, 0.0)
    subject.count(subject.metric("Latency", version="5"), 1.0)
    found = sorted(subject.numbers.counted(subject.namespace, "Faults"), key=lambda one: one["version"])
    assert found == [{"model": "digits", "version": "3"}, {"model": "digits", "version": "4"}]


def test_alarms_of_both_kinds_are_found_by_their_prefix_with_when_they_changed(subject: Subject) -> None:
    before = time.time()
    subject.alarm(f"{subject.prefix}digits/faults", True)
    subject.alarm(f"{subject.prefix}digits/slow", False)
    subject.alarm(f"{subject.prefix}pain/composite", True)
    found = subject.numbers.alarms(f"{subject.prefix}digits/")
    assert [alarm.name for alarm in found] == [
        f"{subject.prefix}digits/{what}" for what in ("faults", "slow")
    ]
    firing = subject.numbers.alarms(subject.prefix, only_firing=True)
    assert [alarm.name.removeprefix(subject.prefix) for alarm in firing] == [
        "digits/faults",
        "pain/composite",
    ]
    assert firing[1].tells
    assert before - 2 <= firing[0].since <= time.time() + 2


def test_pages_are_put_together_and_aws_errors_are_ours() -> None:
    cloudwatch = boto3.client(
        "cloudwatch", region_name="eu-west-1", aws_access_key_id="testing", aws_secret_access_key="testing"
    )
    times = [datetime.fromtimestamp(60 * number, UTC) for number in range(3)]

    def page(at: list[datetime], values: list[float]) -> dict[str, object]:
        return {"MetricDataResults": [{"Id": "m0", "Timestamps": at, "Values": values}]}

    metric = Metric("Switchyard/prod", "Faults", ())
    with Stubber(cloudwatch) as stub:
        stub.add_response("get_metric_data", {**page(times[:2], [1.0, 2.0]), "NextToken": "more"})
        stub.add_response("get_metric_data", page(times[2:], [3.0]))
        stub.add_client_error("list_metrics", "Throttling")
        numbers = CloudWatchNumbers(cloudwatch)
        (points,) = numbers.series([(metric, "Sum")], since=0.0, until=180.0, period_s=60)
        assert points == [Point(0.0, 1.0), Point(60.0, 2.0), Point(120.0, 3.0)]
        with pytest.raises(ServiceError):
            numbers.counted("Switchyard/prod", "Faults")
