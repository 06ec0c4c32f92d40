"""``functions.endpoint.http`` without a server around it: states before and after a model is there."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any, cast

import pytest

from functions.endpoint.connections import Exchange, Headers
from functions.endpoint.health import Health
from functions.endpoint.http import HttpApp
from functions.endpoint.metrics import Metrics
from functions.endpoint.service import EndpointService
from functions.inference.request_log import RequestLog
from functions.protocol.errors import BadRequestError


class Call:
    """One request to an app, and the answer to it."""

    def __init__(self, app: HttpApp, method: str, path: str, headers: Headers | None = None) -> None:
        self.status = 0
        self.headers: dict[str, str] = {}
        self.body = b""
        self.close = False
        app(Exchange(self, method.encode(), path.encode(), headers or []))

    def respond(self, exchange: Exchange, status: int, head: bytes, body: bytes, *, close: bool) -> None:
        assert not self.status
        lines = head.decode().removesuffix("\r\n").split("\r\n")
        self.headers = dict(line.split(": ", 1) for line in lines)
        self.status, self.body, self.close = status, body, close

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Refusing:
    """A service that takes no request."""

    loaded = SimpleNamespace(headers={"x": "y"}, model="digits", manifest=SimpleNamespace(version=1))

    def read(self, body: bytes, length: int | None) -> Any:
        raise BadRequestError("no")


@pytest.mark.parametrize("traced", [True, False])
def test_a_request_that_was_drawn_has_a_line_of_its_own_where_the_model_is_traced(
    health: Health, traced: bool
) -> None:
    lines: list[str] = []
    log = RequestLog({"model": "digits", "version": "1"}, lines.append)
    app = HttpApp(health, Metrics("digits", "1"), log, traced=traced)
    app.serve(cast("EndpointService", Refusing()))
    health.ready()
    for flags in ("00", "01"):
        parent = f"00-67891233abcdef012345678912345678-463ac35c9f6413ad-{flags}".encode()
        call = Call(app, "POST", "/invocations", [(b"traceparent", parent)])
        assert call.status == 400
    if not traced:
        assert lines == []
        return
    (span,) = map(json.loads, lines)
    assert span.pop("ms") >= 0
    assert span == {
        "model": "digits",
        "version": "1",
        "route": "span",
        "trace_id": "1-67891233-abcdef012345678912345678",
        "parent": "463ac35c9f6413ad",
        "status": 400,
    }


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
    assert (draining.json["state"], draining.close) == ("draining", True)


@pytest.mark.parametrize("path", ["/v2/models/digits", "/v2/models/digits/infer", "/invocations"])
def test_before_there_is_a_model_every_model_call_says_so(path: str, app: HttpApp) -> None:
    answer = Call(app, "POST", path)
    assert (answer.status, answer.headers["content-type"]) == (503, "application/json")
    assert "starting" in answer.json["error"]


def test_what_is_about_the_server_needs_no_model(app: HttpApp) -> None:
    assert Call(app, "GET", "/v2").json["name"] == "switchyard"
    assert Call(app, "GET", "/metrics").status == 200
    assert Call(app, "POST", "/ping").status == 405
    assert Call(app, "GET", "/etc/passwd").status == 404


def test_a_path_may_be_written_with_percent_signs_a_query_or_a_whole_address(app: HttpApp) -> None:
    for target in (
        "/v2/health/live?x=1",
        "/v2/health%2Flive",
        "http://host/v2/health/live",
        "/live/v2/health/live",
    ):
        assert Call(app, "GET", target).json == {"live": True}
    assert Call(app, "GET", "http://[").status == 404
    assert Call(app, "GET", "*").status == 404


def test_head_is_get_without_a_body(app: HttpApp) -> None:
    assert Call(app, "HEAD", "/v2").status == 200
    assert Call(app, "PUT", "/ping").status == 405


def test_where_nothing_is_explained_nobody_gets_an_inference_for_it(health: Health) -> None:
    app = HttpApp(health, Metrics("digits", "1"), RequestLog({"model": "digits", "version": "1"}))
    app.serve(cast("EndpointService", Refusing()))
    health.ready()
    attributes = [(b"x-amzn-sagemaker-custom-attributes", b"x-switchyard-call=explain")]
    by_sagemaker = Call(app, "POST", "/invocations", attributes)
    assert (by_sagemaker.status, "not explained here" in by_sagemaker.json["error"]) == (404, True)
    # Another attribute is another's.
    assert (
        Call(app, "POST", "/invocations", [(attributes[0][0], b"x-switchyard-call=explained")]).status == 400
    )
