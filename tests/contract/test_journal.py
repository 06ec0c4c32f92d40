"""The laws of ``releases.ports.Journal``, held against the fake and against CloudWatch Logs' interface."""

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

from releases.adapters.cloudwatch_logs import CloudWatchJournal
from releases.adapters.memory_journal import MemoryJournal
from releases.errors import ServiceError
from releases.ports import Journal, SystemClock

WANTED: dict[str, str | bool] = {"route": "shadow", "agrees": False}


@dataclass
class Subject:
    """What is under test, and how a function logs."""

    journal: Journal
    write: Callable[[str], None]
    function: str

    def lines(
        self, *, most: int = 10, since: float | None = None, **wanted: str | bool
    ) -> list[dict[str, Any]]:
        now = time.time()
        return self.journal.lines(
            self.function, wanted or WANTED, since=since or now - 600, until=now + 60, most=most
        )


@pytest.fixture(params=["memory", pytest.param("logs", marks=pytest.mark.cloud)])
def subject(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Subject]:
    function = f"switchyard-test-{uuid.uuid4().hex[:8]}"
    if request.param == "memory":
        fake = MemoryJournal(SystemClock())
        yield Subject(fake, lambda message: fake.write(function, message), function)
        return
    for variable, value in request.getfixturevalue("cloud").environment().items():
        monkeypatch.setenv(variable, value)
    logs = boto3.client("logs")
    group = f"/aws/lambda/{function}"
    logs.create_log_group(logGroupName=group)
    logs.create_log_stream(logGroupName=group, logStreamName="one")

    def write(message: str) -> None:
        event = {"timestamp": round(time.time() * 1000), "message": message}
        logs.put_log_events(logGroupName=group, logStreamName="one", logEvents=[event])

    yield Subject(CloudWatchJournal(), write, function)


def test_only_lines_with_every_wanted_member_are_read(subject: Subject) -> None:
    for line in (
        {"route": "shadow", "agrees": False, "n": 1},
        {"route": "shadow", "agrees": True, "n": 2},
        {"route": "/v2", "agrees": False, "n": 3},
        {"agrees": False, "n": 4},
        {"route": "shadow", "agrees": "false", "n": 5},
    ):
        subject.write(json.dumps(line))
    for message in ("START RequestId: 1", '["route", "shadow"]', '{"route": "shadow"'):
        subject.write(message)
    assert [line["n"] for line in subject.lines()] == [1]
    assert [line["n"] for line in subject.lines(route="/v2")] == [3]


def test_the_newest_are_kept_and_come_last(subject: Subject) -> None:
    for number in range(5):
        subject.write(json.dumps({"route": "shadow", "agrees": False, "n": number}))
    assert [line["n"] for line in subject.lines(most=2)] == [3, 4]


def test_what_was_written_before_is_not_asked_for(subject: Subject) -> None:
    subject.write(json.dumps({"route": "shadow", "agrees": False}))
    assert subject.lines(since=time.time() + 30) == []


def test_a_function_that_is_not_there_has_no_lines(subject: Subject) -> None:
    found = subject.journal.lines("switchyard-test-gone", WANTED, since=0, until=time.time(), most=1)
    assert found == []


def test_cloudwatch_is_asked_for_no_more_than_is_wanted_and_its_errors_are_ours() -> None:
    logs = boto3.client(
        "logs", region_name="eu-west-1", aws_access_key_id="testing", aws_secret_access_key="testing"
    )
    asked = {
        "logGroupName": "/aws/lambda/f",
        "filterPattern": '{ ($.route = "shadow") && ($.agrees IS FALSE) }',
        "startTime": 1000,
        "endTime": 2000,
    }
    with Stubber(logs) as stub:
        stub.add_response("filter_log_events", {"events": []}, asked)
        assert CloudWatchJournal(logs).lines("f", WANTED, since=1.0, until=2.0, most=5) == []
        stub.add_client_error("filter_log_events", "ThrottlingException")
        with pytest.raises(ServiceError):
            CloudWatchJournal(logs).lines("f", WANTED, since=1.0, until=2.0, most=5)
