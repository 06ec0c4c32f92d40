"""``functions.front.front``: the server's own routes, and every path that leads nowhere."""

from __future__ import annotations

import json
import threading
from typing import Any

import pytest

import functions
from functions.front.adapters.memory import Function, MemoryInvoker
from functions.front.front import Front
from functions.front.ports import Invoker
from model_store.contract.environment import MAX_BODY_BYTES
from model_store.contract.errors import SwitchyardError
from model_store.contract.events import http_event, read_answer
from model_store.contract.names import ByAlias
from tests.unit.functions import conftest
from tests.unit.model_store.contract.test_rest_events import REST

MODELS = (ByAlias("digits", "live"), ByAlias("digits", "candidate"), ByAlias("fraud", "live"))


def answering(status: int, content: Any) -> Function:
    return lambda _: {"statusCode": status, "body": json.dumps(content)}


READY = answering(200, {"name": "digits", "ready": True})

ALL_READY: dict[tuple[str, str], Function] = {
    ("switchyard-test-digits", "live"): READY,
    ("switchyard-test-digits", "candidate"): READY,
    ("switchyard-test-fraud", "live"): READY,
}


class Caller:
    """Calls a front and keeps what it logged and how often it connected."""

    def __init__(
        self, deployed: dict[tuple[str, str], Function], models: tuple[ByAlias, ...] = MODELS
    ) -> None:
        self.lines: list[str] = []
        self.connected = 0
        self._deployed = deployed
        self.front = Front("test", models, self._connect, self.lines.append)

    def _connect(self) -> Invoker:
        self.connected += 1
        return MemoryInvoker(self._deployed)

    def event(self, event: object) -> tuple[int, Any]:
        status, headers, body = read_answer(self.front(event, None))
        assert headers["content-type"] == "application/json"
        return status, json.loads(body)

    def call(self, path: str, method: str = "GET") -> tuple[int, Any]:
        return self.event(http_event(method, path))


def test_the_server_says_what_it_is() -> None:
    metadata = {
        "name": "switchyard",
        "version": functions.VERSION,
        "extensions": ["binary_tensor_data"],
        "parameters": {"max_payload_bytes": MAX_BODY_BYTES},
    }
    assert Caller({}).call("/v2") == (200, metadata)
    assert Caller({}).call("/v2/") == (200, metadata)


def test_the_server_is_live_whatever_its_models_do_and_asks_none_of_them() -> None:
    caller = Caller({})
    assert caller.call("/v2/health/live") == (200, {"live": True})
    assert caller.connected == 0


def test_the_server_is_ready_when_every_alias_is() -> None:
    assert Caller(ALL_READY).call("/v2/health/ready") == (200, {"live": True, "ready": True})


def test_a_stage_without_models_is_ready() -> None:
    assert Caller({}, models=()).call("/v2/health/ready")[0] == 200


def test_a_model_is_asked_what_api_gateway_would_ask_it() -> None:
    asked: list[dict[str, Any]] = []

    def recording(event: dict[str, Any]) -> dict[str, Any]:
        asked.append(event)
        return READY(event)

    Caller({("switchyard-test-fraud", "live"): recording}, models=(ByAlias("fraud", "live"),)).call(
        "/v2/health/ready"
    )
    assert [event["rawPath"] for event in asked] == ["/v2/models/fraud/ready"]
    assert asked[0]["requestContext"]["http"]["method"] == "GET"


def failing(_: dict[str, Any]) -> dict[str, Any]:
    raise RuntimeError("a secret")


@pytest.mark.parametrize(
    ("function", "reason"),
    [
        (
            answering(503, {"error": "no version of fraud is released yet"}),
            "no version of fraud is released yet",
        ),
        (answering(500, "?"), "it answers 500"),
        (answering(404, {}), "it answers 404"),
        (failing, "it failed with RuntimeError"),
        (lambda _: {"errorType": "X"}, "it did not answer an HTTP call"),
        (None, "it is not deployed"),
    ],
)
def test_what_is_not_ready_is_named_with_its_reason(function: Function | None, reason: str) -> None:
    deployed = dict(ALL_READY)
    if function is None:
        del deployed["switchyard-test-fraud", "live"]
    else:
        deployed["switchyard-test-fraud", "live"] = function
    status, content = Caller(deployed).call("/v2/health/ready")
    assert status == 503
    assert content["error"] == "not ready: `fraud@live`"
    assert content["not_ready"] == [{"model": "fraud", "alias": "live", "reason": reason}]


def test_the_front_understands_what_the_inference_function_answers(
    digits: conftest.Caller, unreleased: conftest.Caller
) -> None:
    """The real functions, one reading what the other wrote."""

    def ask(function: conftest.Caller) -> tuple[int, Any]:
        returned = function.door(http_event("GET", "/v2/models/digits/ready"), None)
        deployed: dict[tuple[str, str], Function] = {("switchyard-test-digits", "live"): lambda _: returned}
        return Caller(deployed, models=(ByAlias("digits", "live"),)).call("/v2/health/ready")

    assert ask(digits)[0] == 200
    status, content = ask(unreleased)
    assert status == 503
    assert content["not_ready"][0]["reason"] == "no version of digits is released yet"


def test_models_are_asked_at_the_same_time() -> None:
    together = threading.Barrier(len(MODELS), timeout=20)

    def waiting(event: dict[str, Any]) -> dict[str, Any]:
        together.wait()
        return READY(event)

    assert Caller(dict.fromkeys(ALL_READY, waiting)).call("/v2/health/ready")[0] == 200


@pytest.mark.parametrize(
    ("path", "error"),
    [
        ("/v2/models/spam/infer", "no model `spam` is served here"),
        ("/v2/models/spam", "no model `spam` is served here"),
        ("/beta/v2/models/digits/infer", "no alias `beta` of `digits` is served here"),
        ("/candidate/v2/models/fraud", "no alias `candidate` of `fraud` is served here"),
        ("/v2/models/digits/infre", "there is no `GET /infre` for `digits`"),
        ("/v2/models", "there is no `GET /v2/models` here"),
        ("/", "there is no `GET /` here"),
        ("/favicon.ico", "there is no `GET /favicon.ico` here"),
    ],
)
def test_a_path_that_leads_nowhere_names_the_models_that_are_served(path: str, error: str) -> None:
    assert Caller(ALL_READY).call(path) == (404, {"error": error, "models": ["digits", "fraud"]})


def test_a_wrong_method_is_a_405() -> None:
    assert Caller({}).call("/v2/health/live", "POST") == (
        405,
        {"error": "`/v2/health/live` does not take POST"},
    )


@pytest.mark.parametrize("event", [None, [], {}, {"requestContext": None}, {"requestContext": {"http": 5}}])
def test_whatever_the_event_there_is_an_answer(event: object) -> None:
    assert Caller({}).event(event)[0] == 404


def test_a_long_path_is_not_repeated_in_full() -> None:
    _, content = Caller({}).call("/v2/models/" + "x" * 5000)
    assert len(content["error"]) < 200


def test_an_unexpected_failure_is_a_500_without_its_insides() -> None:
    def cannot() -> Invoker:
        raise RuntimeError("a secret")

    lines: list[str] = []
    front = Front("test", MODELS, cannot, lines.append)
    status, _, body = read_answer(front(http_event("GET", "/v2/health/ready"), None))
    assert status == 500
    assert json.loads(body) == {"error": "the server failed on this request: its log has the details"}
    assert json.loads(lines[0])["failure"] == "RuntimeError"
    assert "secret" not in lines[0]


def test_one_log_line_per_request_and_no_path_that_a_caller_made_up() -> None:
    caller = Caller(ALL_READY)
    event = http_event("GET", "/v2/health/ready")
    caller.event(event)
    caller.call("/private-word")
    first, second = (json.loads(line) for line in caller.lines)
    assert (first["request_id"], first["status"]) == (event["requestContext"]["requestId"], 200)
    assert (first["method"], first["route"]) == ("GET", "/v2/health/ready")
    assert (second["route"], second["status"]) == ("unknown", 404)
    assert "private-word" not in caller.lines[1]


def test_the_environment_names_the_stage_and_its_models() -> None:
    environ = {
        "SWITCHYARD_STAGE": "test",
        "SWITCHYARD_MODELS": '[{"model": "digits", "alias": "live"}, {"model": "digits", "alias": "candidate"}]',
    }
    front = Front.from_environment(environ, lambda: MemoryInvoker({}))
    assert (front.stage, front.models) == ("test", MODELS[:2])


@pytest.mark.parametrize(
    "environ",
    [
        {},
        {"SWITCHYARD_STAGE": "test"},
        {"SWITCHYARD_STAGE": "test", "SWITCHYARD_MODELS": "{"},
        {"SWITCHYARD_STAGE": "test", "SWITCHYARD_MODELS": "5"},
        {"SWITCHYARD_STAGE": "test", "SWITCHYARD_MODELS": '["digits"]'},
        {"SWITCHYARD_STAGE": "test", "SWITCHYARD_MODELS": '[{"model": "Digits", "alias": "live"}]'},
        {"SWITCHYARD_STAGE": "Test", "SWITCHYARD_MODELS": "[]"},
    ],
)
def test_a_wrong_environment_fails_at_start(environ: dict[str, str]) -> None:
    with pytest.raises(SwitchyardError, match="do not name a stage and its models"):
        Front.from_environment(environ, lambda: MemoryInvoker({}))


def test_a_rest_api_s_call_is_answered_too() -> None:
    caller = Caller(ALL_READY)
    event = {**REST, "path": "/v2/health/ready", "httpMethod": "GET"}
    status, _, body = read_answer(caller.front(event, None))
    assert (status, json.loads(body)["ready"]) == (200, True)
    (line,) = (json.loads(line) for line in caller.lines)
    assert (line["route"], line["request_id"]) == ("/v2/health/ready", REST["requestContext"]["requestId"])
