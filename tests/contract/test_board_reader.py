"""The laws of ``dashboards.ports.BoardReader``, held against the fake and against CloudWatch's interface."""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytest

from dashboards.adapters.memory import MemoryBoardReader
from dashboards.ports import BoardReader, Line

NOW = 60 * int(time.time() // 60)
BODY = '{"widgets": []}'


@dataclass
class Subject:
    """What is under test, its dashboard and its alarm, and a query for the values 1 and 2 of two versions."""

    reader: BoardReader
    board: str
    alarm: str
    queries: list[dict[str, Any]]


def _queries(namespace: str) -> list[dict[str, Any]]:
    search = f"SEARCH('{{{namespace},version}} MetricName=\"Latency\"', 'Maximum')"
    hidden = {
        "Metric": {"Namespace": namespace, "MetricName": "Latency", "Dimensions": []},
        "Period": 60,
        "Stat": "Sum",
    }
    return [
        {"Id": "none", "Label": "nothing", "MetricStat": {**hidden, "Stat": "Average"}},
        {"Id": "hidden", "MetricStat": hidden, "ReturnData": False},
        {"Id": "all", "Expression": search, "Label": "v${PROP('Dim.version')}", "Period": 60},
    ]


@pytest.fixture(params=["memory", pytest.param("cloudwatch", marks=pytest.mark.cloud)])
def subject(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Subject]:
    unique = f"board-{uuid.uuid4().hex[:8]}"
    if request.param == "memory":
        points = {"v3": (NOW - 120.0, 1.0), "v4": (NOW - 60.0, 2.0)}
        lines = [Line("all", label, (point,)) for label, point in points.items()]
        fake = MemoryBoardReader(
            bodies={unique: BODY}, lines={"v${PROP('Dim.version')}": lines}, states={unique: "ALARM"}
        )
        yield Subject(fake, unique, unique, _queries(unique))
        return
    for variable, value in request.getfixturevalue("cloud").environment().items():
        monkeypatch.setenv(variable, value)
    import boto3

    from dashboards.adapters.cloudwatch import CloudWatchBoards

    cloudwatch = boto3.client("cloudwatch")
    cloudwatch.put_dashboard(DashboardName=unique, DashboardBody=BODY)
    cloudwatch.put_metric_alarm(
        AlarmName=f"{unique}-child",
        Namespace=unique,
        MetricName="never",
        Statistic="Sum",
        Period=60,
        EvaluationPeriods=1,
        Threshold=1,
        ComparisonOperator="GreaterThanThreshold",
        TreatMissingData="breaching",
    )
    cloudwatch.set_alarm_state(AlarmName=f"{unique}-child", StateValue="ALARM", StateReason="asked")
    cloudwatch.put_composite_alarm(AlarmName=unique, AlarmRule=f'ALARM("{unique}-child")')
    for version, value, age in (("3", 1.0, 120), ("4", 2.0, 60)):
        datum: Any = {
            "MetricName": "Latency",
            "Value": value,
            "Timestamp": datetime.fromtimestamp(NOW - age, UTC),
            "Dimensions": [{"Name": "version", "Value": version}],
        }
        cloudwatch.put_metric_data(Namespace=unique, MetricData=[datum])
    yield Subject(CloudWatchBoards(), unique, unique, _queries(unique))


def test_a_page_is_as_it_was_deployed_or_not_there(subject: Subject) -> None:
    assert subject.reader.body(subject.board) == BODY
    assert subject.reader.body("no-such-board") is None


def test_a_search_gives_a_line_for_each_version_and_what_helps_gives_none(subject: Subject) -> None:
    found = subject.reader.lines(subject.queries, since=NOW - 600, until=NOW)
    assert [(line.id, line.label, line.points) for line in found if line.points] == [
        ("all", "v3", ((NOW - 120.0, 1.0),)),
        ("all", "v4", ((NOW - 60.0, 2.0),)),
    ]
    assert "hidden" not in {line.id for line in found}


def test_nothing_from_before_or_after_is_read(subject: Subject) -> None:
    found = subject.reader.lines(subject.queries, since=NOW - 120, until=NOW - 60)
    assert [line.label for line in found if line.points] == ["v3"]


def test_alarms_of_both_kinds_are_told_by_name(subject: Subject) -> None:
    assert subject.reader.states([subject.alarm, "no-such-alarm"]) == {subject.alarm: "ALARM"}
    assert subject.reader.states([]) == {}
