"""``functions.endpoint.http`` without a server around it: states before and after a model is there."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from functions.endpoint.health import Health
from functions.endpoint.http import HttpApp, Message
from functions.endpoint.metrics import Metrics
from functions.inference.request_log import RequestLog


class Call:
    """One request to an app, message by message."""

    def __init__(self, app: HttpApp, method: str, path: str, *messages: Message) -> None:
        self.status = 0
        self.headers: dict[str, str] = {}
        self.body = b""
        left = list(messages) or [{"type": "http.request", "body": b"", "more_body": False}]

        async def receive() -> Message:
            return left.pop(0) if left else {"type": "http.disconnect"}

        async def send(message: Message) -> None:
            if message["type"] == "http.response.start":
                self.status = message["status"]
                self.headers = {name.decode(): value.decode() for name, value in message["headers"]}
            else:
                self.body += message["body"]

        scope = {"type": "http", "method": method, "path": path, "headers": []}
        asyncio.run(app(scope, receive, send))

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@pytest.fixture
def health() -> Health:
    return Health()


@pytest.fixture
def app(health: Health) -> HttpApp:
    return HttpApp(health, Metrics("digits", "1"), RequestLog({"model": "digits", "version": "1"}))


def test_starting_broken_and_draining_are_told_apart(app: HttpApp, health: Health) -> None:
    assert Call(app, "GET", "/ping").json["state"] == "starting"
    health.broken("no such file")
    broken = Call(app, "GET", "/ping")
    assert (broken.status, broken.json["state"], broken.json["reason"]) == (503, "broken", "no such file")
    assert Call(app, "GET", "/v2/health/live").json == {"live": False}
    health.draining()
    draining = Call(app, "GET", "/v2/health/ready")
    assert (draining.json["state"], draining.headers["connection"]) == ("draining", "close")


@pytest.mark.parametrize("path", ["/v2/models/digits", "/v2/models/digits/infer", "/invocations"])
def test_before_there_is_a_model_every_model_call_says_so(path: str, app: HttpApp) -> None:
    answer = Call(app, "POST", path)
    assert (answer.status, answer.headers["content-length"]) == (503, str(len(answer.body)))
    assert "starting" in answer.json["error"]


def test_what_is_about_the_server_needs_no_model(app: HttpApp) -> None:
    assert Call(app, "GET", "/v2").json["name"] == "switchyard"
    assert Call(app, "GET", "/metrics").status == 200
    assert Call(app, "POST", "/ping").status == 405
    assert Call(app, "GET", "/etc/passwd").status == 404


def test_a_caller_that_hangs_up_in_the_middle_is_no_failure(app: HttpApp) -> None:
    Call(app, "POST", "/invocations", {"type": "http.disconnect"})
    assert app.open == 0
