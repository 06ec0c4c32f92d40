"""The laws of ``telemetry.ports.Lines``, held against the fake and against CloudWatch Logs' interface."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import boto3
import pytest
from botocore.stub import Stubber

from releases.errors import ServiceError
from releases.ports import SystemClock
from telemetry.adapters.logs import CloudWatchLines
from telemetry.adapters.memory import MemoryLines
from telemetry.ports import Line, Lines, Wanted

TIMED_OUT = "2026-11-22T16:00:00.000Z 5f0c2a9b Task timed out after 10.01 seconds"


@dataclass
class Subject:
    """What is under test, who logs, and where."""

    lines: Lines
    write: Callable[[str, str, float], None]
    group: str

    def log(self, n: int, *, ago: float = 60.0, stream: str = "day/[7]abc", **fields: Any) -> None:
        line = {"n": n, "version": "3", "status": 200, "alias": "live", **fields}
        self.write(json.dumps(line), stream, ago)

    def newest(self, most: int = 10, **wanted: Any) -> list[Line]:
        now = time.time()
        return self.lines.newest(self.group, Wanted(**wanted), since=now - 600, until=now, most=most)


def numbers(found: list[Line]) -> list[int]:
    return [line.fields["n"] for line in found]


@pytest.fixture(params=["memory", pytest.param("logs", marks=pytest.mark.cloud)])
def subject(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Subject]:
    group = f"/aws/lambda/switchyard-test-{uuid.uuid4().hex[:8]}"
    if request.param == "memory":
        fake = MemoryLines(SystemClock())

        def log(text: str, stream: str, ago: float) -> None:
            fake.write(group, text, stream=stream, at=time.time() - ago)

        yield Subject(fake, log, group)
        return
    for variable, value in request.getfixturevalue("cloud").environment().items():
        monkeypatch.setenv(variable, value)
    logs = boto3.client("logs")
    logs.create_log_group(logGroupName=group)
    streams: set[str] = set()

    def write(text: str, stream: str, ago: float) -> None:
        if stream not in streams:
            logs.create_log_stream(logGroupName=group, logStreamName=stream)
            streams.add(stream)
        event = {"timestamp": round((time.time() - ago) * 1000), "message": text}
        logs.put_log_events(logGroupName=group, logStreamName=stream, logEvents=[event])

    yield Subject(CloudWatchLines(sleep=lambda _: None), write, group)


def test_the_newest_are_kept_and_the_oldest_of_them_comes_first(subject: Subject) -> None:
    for number in range(4):
        subject.log(number, ago=60 - number)
    found = subject.newest(2)
    assert numbers(found) == [2, 3]
    assert found[0].stream == "day/[7]abc"
    assert found[0].at == pytest.approx(time.time() - 58, abs=2)
    assert found[0].id != found[1].id


def test_lines_are_chosen_by_version_and_alias(subject: Subject) -> None:
    subject.log(1)
    subject.log(2, version="30")
    subject.log(3, alias="candidate")
    subject.log(4, alias=None)
    assert numbers(subject.newest(version=3)) == [1, 3, 4]
    assert numbers(subject.newest(version=3, alias="candidate")) == [3]


def test_failures_are_answers_of_500_and_what_lambda_wrote_of_them(subject: Subject) -> None:
    subject.log(1, status=499)
    subject.log(2, status=500)
    subject.write(TIMED_OUT, "day/[8]def", 50.0)
    subject.write("a library says something", "day/[8]def", 50.0)
    answered, timed_out = subject.newest(errors=True)
    assert answered.fields["n"] == 2
    assert (timed_out.text, timed_out.fields, timed_out.stream) == (TIMED_OUT, {}, "day/[8]def")


def test_what_lambda_writes_around_every_request_is_left_out(subject: Subject) -> None:
    for text in ("START RequestId: 1 Version: 7", "END RequestId: 1", "REPORT RequestId: 1 Duration: 2 ms"):
        subject.write(text, "day/[7]abc", 50.0)
    subject.write("a library says something", "day/[7]abc", 50.0)
    assert [line.text for line in subject.newest()] == ["a library says something"]


def test_the_slowest_inferences_come_first(subject: Subject) -> None:
    for number, latency in enumerate((5.0, 900.5, 40.0)):
        subject.log(number, Latency=latency)
    subject.log(3, ms=10_000.0)
    now = time.time()
    found = subject.lines.slowest(subject.group, Wanted(), since=now - 600, until=now, most=2)
    assert numbers(found) == [1, 2]


def test_what_comes_after_a_moment_is_read_oldest_first(subject: Subject) -> None:
    for number in range(3):
        subject.log(number, ago=60 - 20 * number)
    subject.log(9, ago=10, version="4")
    found = subject.lines.after(subject.group, Wanted(version=3), since=time.time() - 50, most=10)
    assert numbers(found) == [1, 2]
    assert numbers(subject.lines.after(subject.group, Wanted(), since=0, most=1)) == [0]


def test_a_group_that_is_not_there_has_no_lines(subject: Subject) -> None:
    now = time.time()
    assert subject.lines.newest("/aws/lambda/none", Wanted(), since=0, until=now, most=1) == []
    assert subject.lines.after("/aws/lambda/none", Wanted(), since=0, most=1) == []


def test_an_answer_is_waited_for_and_a_failed_query_is_an_error_of_ours() -> None:
    logs = boto3.client(
        "logs", region_name="eu-west-1", aws_access_key_id="testing", aws_secret_access_key="testing"
    )
    row = [
        {"field": "@timestamp", "value": "2026-11-22 16:00:00.250"},
        {"field": "@message", "value": '{"version": "3", "status": 200}'},
        {"field": "@logStream", "value": "day/[7]abc"},
        {"field": "@ptr", "value": "1"},
    ]
    with Stubber(logs) as stub:
        stub.add_response("start_query", {"queryId": "q"})
        stub.add_response("get_query_results", {"status": "Running", "results": []})
        stub.add_response("get_query_results", {"status": "Complete", "results": [row]})
        stub.add_response("start_query", {"queryId": "q"})
        stub.add_response("get_query_results", {"status": "Failed", "results": []})
        lines = CloudWatchLines(logs, sleep=lambda _: None)
        (line,) = lines.newest("g", Wanted(), since=0, until=1, most=1)
        assert (line.at, line.fields["version"], line.id) == (1795363200.25, "3", "1")
        with pytest.raises(ServiceError, match="is Failed"):
            lines.slowest("g", Wanted(), since=0, until=1, most=1)
