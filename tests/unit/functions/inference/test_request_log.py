"""``functions.inference.request_log``: one line per request, no payload, no exception past it."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from starlette.types import Message, Receive, Scope, Send

from functions.inference.request_log import RequestLog, cut_prefix


@pytest.mark.parametrize(
    ("path", "cut"),
    [
        ("/v2", "/v2"),
        ("/v2/health/live", "/v2/health/live"),
        ("/candidate/v2/models/digits/infer", "/v2/models/digits/infer"),
        ("/prod/candidate/v2", "/v2"),
        ("/v2/models/v2/infer", "/v2/models/v2/infer"),
        ("/v2x/health", "/v2x/health"),
        ("/nothing", "/nothing"),
        ("", ""),
    ],
)
def test_what_stands_before_the_protocols_path_is_cut(path: str, cut: str) -> None:
    assert cut_prefix(path) == cut


def run(app: Any, **scope: Any) -> tuple[list[Message], list[dict[str, Any]]]:
    sent: list[Message] = []
    lines: list[str] = []

    async def receive() -> Message:
        return {"type": "http.request", "body": b""}

    async def send(message: Message) -> None:
        sent.append(message)

    logged = RequestLog(app, labels={"model": "digits"}, headers={"x-a": "1"}, write=lines.append)
    asyncio.get_event_loop().run_until_complete(
        logged({"type": "http", "method": "GET", "path": "/v2", **scope}, receive, send)
    )
    return sent, [json.loads(line) for line in lines]


async def failing(scope: Scope, receive: Receive, send: Send) -> None:
    raise KeyError("the caller's secret")


async def failing_late(scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    raise KeyError("late")


def test_an_unexpected_exception_is_a_500_that_tells_the_caller_nothing() -> None:
    (start, body), _ = run(failing)
    assert start["status"] == 500
    assert (b"x-a", b"1") in start["headers"]
    assert json.loads(body["body"]) == {"error": "the server failed on this request: its log has the details"}


def test_the_log_says_where_it_failed_without_repeating_what_the_caller_sent() -> None:
    event = {"requestContext": {"requestId": "abc"}}
    _, (line,) = run(failing, **{"aws.event": event})
    assert (line["request_id"], line["status"], line["failure"]) == ("abc", 500, "builtins.KeyError")
    assert "in failing" in line["trace"]
    assert "secret" not in line["trace"].replace('raise KeyError("the caller\'s secret")', "")


def test_a_failure_after_the_answer_began_is_logged_and_not_answered_twice() -> None:
    sent, (line,) = run(failing_late)
    assert [message["type"] for message in sent] == ["http.response.start"]
    assert line["failure"] == "builtins.KeyError"
