"""``functions.inference.middleware``: around the framework, and no exception past it."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from starlette.types import Message, Receive, Scope, Send

from functions.inference.middleware import Around
from functions.inference.request_log import RequestLog


def run(app: Any, **scope: Any) -> tuple[list[Message], list[dict[str, Any]]]:
    sent: list[Message] = []
    lines: list[str] = []

    async def receive() -> Message:
        return {"type": "http.request", "body": b""}

    async def send(message: Message) -> None:
        sent.append(message)

    logged = Around(app, log=RequestLog({"model": "digits"}, lines.append), headers={"x-a": "1"})
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


def test_a_prefix_is_cut_and_handed_on_for_links() -> None:
    seen: list[Scope] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(scope)
        await send({"type": "http.response.start", "status": 200, "headers": []})

    run(app, path="/candidate/v2/models/digits")
    assert (seen[0]["root_path"], seen[0]["path"]) == ("/candidate", "/v2/models/digits")
