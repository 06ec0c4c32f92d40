"""The laws of ``releases.ports.Monitoring``, held against the fake and against CloudWatch's interface."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest

from releases.adapters.memory_monitoring import MemoryMonitoring
from releases.ports import Alarm, Metric, Monitoring, Statistic, SystemClock

TOPIC = "arn:aws:sns:us-east-1:000000000000:contract"


@dataclass
class Subject:
    """What is under test, who counts, and a prefix of its own for alarms."""

    monitoring: Monitoring
    count: Callable[..., None]
    prefix: str
    namespace: str

    def metric(self, name: str = "Faults", version: str = "3") -> Metric:
        return Metric(self.namespace, name, (("model", "digits"), ("version", version)))

    def alarm(self, name: str) -> Alarm:
        return Alarm(f"{self.prefix}{name}", "about digits:3", self.metric(), "Sum", 1.0, 60)

    def read(self, metric: Metric, *statistics: Statistic) -> list[list[float]]:
        now = time.time()
        asked = [(metric, statistic) for statistic in statistics]
        return self.monitoring.read(asked, since=now - 3600, until=now + 60, period_s=3600)


@pytest.fixture(params=["memory", pytest.param("cloudwatch", marks=pytest.mark.cloud)])
def subject(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Subject]:
    unique = uuid.uuid4().hex[:8]
    prefix, namespace = f"switchyard/contract/{unique}/live/", f"Switchyard/{unique}"
    if request.param == "memory":
        fake = MemoryMonitoring(SystemClock())
        yield Subject(fake, fake.record, prefix, namespace)
        return
    for variable, value in request.getfixturevalue("cloud").environment().items():
        monkeypatch.setenv(variable, value)
    import boto3

    from releases.adapters.cloudwatch import CloudWatchMonitoring

    cloudwatch = boto3.client("cloudwatch")

    def count(metric: Metric, *values: float) -> None:
        dimensions = [{"Name": name, "Value": value} for name, value in metric.dimensions]
        data = [{"MetricName": metric.name, "Dimensions": dimensions, "Value": value} for value in values]
        cloudwatch.put_metric_data(Namespace=metric.namespace, MetricData=data)

    monitoring = CloudWatchMonitoring(topic=TOPIC)
    yield Subject(monitoring, count, prefix, namespace)
    monitoring.delete_alarms(list(monitoring.alarms(prefix)))


def test_a_reading_sees_its_own_metric_only(subject: Subject) -> None:
    """Law 11: what another version does is not held against this one."""
    subject.count(subject.metric(version="3"), 1.0, 0.0, 1.0)
    subject.count(subject.metric(version="4"), 1.0)
    (sums, counts) = subject.read(subject.metric(version="3"), "Sum", "SampleCount")
    assert (sum(sums), sum(counts)) == (2.0, 3.0)


def test_statistics_of_latencies(subject: Subject) -> None:
    subject.count(subject.metric("Latency"), *[float(value) for value in range(1, 11)])
    average, p90 = subject.read(subject.metric("Latency"), "Average", "p90")
    assert average == [5.5] or sum(average) > 0  # two periods if the hour just turned
    assert max(p90) >= 9.0 or len(p90) == 2


def test_what_nobody_counted_has_no_values(subject: Subject) -> None:
    assert subject.read(subject.metric("Nothing"), "Sum") == [[]]


def test_what_was_counted_before_or_after_is_not_read(subject: Subject) -> None:
    subject.count(subject.metric(), 1.0)
    now = time.time()
    assert subject.monitoring.read(
        [(subject.metric(), "Sum")], since=now - 7200, until=now - 3600, period_s=60
    ) == [[]]


def test_putting_an_alarm_twice_is_putting_it_once(subject: Subject) -> None:
    for _ in range(2):
        subject.monitoring.put_alarm(subject.alarm("abc/faults"))
    found = subject.monitoring.alarms(subject.prefix)
    assert list(found) == [f"{subject.prefix}abc/faults"]
    assert found[f"{subject.prefix}abc/faults"].threshold == 1.0


def test_alarms_are_found_by_their_prefix_only(subject: Subject) -> None:
    subject.monitoring.put_alarm(subject.alarm("abc/faults"))
    subject.monitoring.put_alarm(subject.alarm("def/faults"))
    assert list(subject.monitoring.alarms(f"{subject.prefix}abc/")) == [f"{subject.prefix}abc/faults"]


def test_deleting_alarms_leaves_the_others_and_forgives_what_is_gone(subject: Subject) -> None:
    subject.monitoring.put_alarm(subject.alarm("abc/faults"))
    subject.monitoring.put_alarm(subject.alarm("abc/errors"))
    subject.monitoring.delete_alarms([f"{subject.prefix}abc/faults", f"{subject.prefix}abc/never"])
    assert list(subject.monitoring.alarms(subject.prefix)) == [f"{subject.prefix}abc/errors"]


def test_an_alarm_that_is_armed_again_is_quiet(subject: Subject) -> None:
    subject.monitoring.put_alarm(subject.alarm("abc/faults"))
    subject.monitoring.rearm(f"{subject.prefix}abc/faults", "a test")
    assert not subject.monitoring.alarms(subject.prefix)[f"{subject.prefix}abc/faults"].firing


def test_a_percentile_alarm_is_possible(subject: Subject) -> None:
    latency = Alarm(f"{subject.prefix}a/latency", "slow", subject.metric("Latency"), "p90", 250.0, 60)
    subject.monitoring.put_alarm(latency)
    assert subject.monitoring.alarms(subject.prefix)[latency.name].threshold == 250.0
