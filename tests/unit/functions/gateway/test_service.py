"""``functions.gateway.service``: what a caller hears is what the model said, or a sentence why not."""

from __future__ import annotations

import json

import numpy as np
import pytest

from functions.gateway.adapters.memory import MemoryEndpoint
from functions.gateway.ports import Said
from functions.gateway.service import LONGEST_S, MARGIN_S
from functions.inference.doors import shadow
from functions.inference.limits import Limits
from functions.inference.released import Unreleased
from functions.inference.request_log import RequestLog
from functions.protocol.carried import to_base64
from model_store.contract.environment import METRICS, SHADOW_EVENT
from model_store.contract.events import http_event
from tests.unit.functions.conftest import Caller, Layer
from tests.unit.functions.gateway.conftest import GatewayCaller, computing, pin_of

INFER = "/v2/models/digits/infer"
X = {"name": "x", "datatype": "FP32", "shape": [1, 4]}
ROW = [0.0, 0.0, 0.0, 1.0]

REQUESTS: dict[str, bytes] = {
    "an ordinary one": json.dumps({"inputs": [X | {"data": ROW}], "id": "7"}).encode(),
    "one output": json.dumps({"inputs": [X | {"data": ROW}], "outputs": [{"name": "label"}]}).encode(),
    "no JSON": b"{",
    "nothing": b"",
    "a wrong name": json.dumps({"inputs": [X | {"name": "z", "data": ROW}]}).encode(),
    "a wrong shape": json.dumps({"inputs": [X | {"shape": [1, 3], "data": ROW[:3]}]}).encode(),
    "words that are no UTF-8": b'{"inputs": "\xff"}',
}


@pytest.mark.parametrize("request_", REQUESTS.values(), ids=REQUESTS)
def test_a_gateway_answers_as_the_inference_function_does(request_: bytes, linear_layer: Layer) -> None:
    """Law 7: one protocol, whatever runs behind the address."""
    here = Caller(linear_layer.load())
    gateway = GatewayCaller(pin_of(linear_layer), MemoryEndpoint(computing(linear_layer.load())))
    one, other = gateway.post(INFER, request_), here.post(INFER, request_)
    assert (one.status, one.headers, one.body) == (other.status, other.headers, other.body)


def test_binary_data_go_through_as_they_are(gateway: GatewayCaller) -> None:
    asked = {
        "inputs": [X | {"parameters": {"binary_data_size": 16}}],
        "parameters": {"binary_data_output": True},
    }
    text, data = json.dumps(asked).encode(), np.array(ROW, np.float32).tobytes()
    reply = gateway.post(INFER, text + data, {"inference-header-content-length": str(len(text))})
    assert (reply.status, reply.headers["content-type"]) == (200, "application/octet-stream")
    assert np.frombuffer(reply.data[:12], np.float32).shape == (3,)
    assert gateway.endpoint.asked == [(text + data, len(text))]


@pytest.mark.parametrize("binary", [False, True], ids=["as JSON", "as binary data"])
def test_a_mirrored_request_is_compared_with_what_the_endpoint_answers(
    gateway: GatewayCaller, binary: bool
) -> None:
    asked = {"inputs": [X | {"data": ROW}], "parameters": {"binary_data_output": binary}}
    answered = gateway.post(INFER, json.dumps(asked).encode())
    halves = {
        "request": {"body": json.dumps(asked), "headers": {}, "isBase64Encoded": False},
        "answer": {
            "body": to_base64(answered.body),
            "headers": answered.headers,
            "isBase64Encoded": True,
        },
    }
    about = {"version": 2, "request_id": "r-1", "ms": 4.0, "lost": 0}
    event = {SHADOW_EVENT: about, **halves}
    log = RequestLog(gateway.pin.labels, gateway.lines.append)
    said = shadow.answer(event, None, gateway.service, log, shadow.asked_for(gateway.service))
    assert (said["status"], said["agrees"], said["differs"]) == (200, True, {})
    gateway.endpoint.exists = False
    said = shadow.answer(event, None, gateway.service, log, shadow.asked_for(gateway.service))
    assert (said["status"], said["agrees"]) == (503, False)


@pytest.mark.parametrize("path", ["/v2", "/v2/health/live", "/v2/health/ready", "/v2/models/digits/ready"])
def test_health_is_told_as_everywhere(path: str, gateway: GatewayCaller, linear_layer: Layer) -> None:
    assert gateway.get(path).body == Caller(linear_layer.load()).get(path).body


def test_metadata_are_the_manifests_and_need_no_endpoint(gateway: GatewayCaller, linear_layer: Layer) -> None:
    gateway.endpoint.exists = False
    assert gateway.get("/v2/models/digits").json == Caller(linear_layer.load()).get("/v2/models/digits").json


def test_a_page_of_the_framework_is_answered_too(gateway: GatewayCaller) -> None:
    paths = gateway.get("/v2/models/digits/openapi.json").json["paths"]
    assert "/v2/models/{model}/infer" in paths


@pytest.mark.parametrize("path", ["/v2/models/digits/ready", "/v2/health/ready"])
def test_without_its_endpoint_a_version_is_not_ready(path: str, gateway: GatewayCaller) -> None:
    gateway.endpoint.exists = False
    reply = gateway.get(path)
    assert (reply.status, reply.json) == (503, {"error": "the endpoint of this version does not exist"})


def test_before_the_first_release_nothing_is_asked(gateway: GatewayCaller) -> None:
    unreleased = GatewayCaller(Unreleased("digits"), gateway.endpoint)
    assert unreleased.infer(ROW).status == 503
    assert unreleased.infer(ROW).json == {"error": "no version of digits is released yet"}
    assert gateway.endpoint.asked == []


def test_another_version_is_a_404(gateway: GatewayCaller) -> None:
    assert gateway.post("/v2/models/digits/versions/9/infer", b"{}").status == 404
    assert gateway.endpoint.asked == []


def test_a_throttled_endpoint_is_asked_once_more(gateway: GatewayCaller) -> None:
    gateway.endpoint.throttled = 1
    assert gateway.infer(ROW).status == 200
    assert len(gateway.naps) == 1


def test_who_is_refused_twice_hears_when_to_come_back(gateway: GatewayCaller) -> None:
    gateway.endpoint.throttled = 2
    reply = gateway.infer(ROW)
    assert (reply.status, reply.headers["retry-after"]) == (503, "1")
    assert reply.json == {"error": "the endpoint of digits:2 takes no more requests now"}


@pytest.mark.parametrize("status", [429, 503])
def test_a_full_queue_is_tried_again_and_then_told_with_the_endpoints_own_words(
    gateway: GatewayCaller, status: int
) -> None:
    asked: list[int] = []

    def full(body: bytes, json_length: int | None) -> Said:
        asked.append(len(body))
        return Said(status, b'{"error": "512 requests wait already"}')

    gateway.endpoint = MemoryEndpoint(full)
    reply = gateway.infer(ROW)
    assert (reply.status, reply.json) == (status, {"error": "512 requests wait already"})
    assert reply.headers["retry-after"] == "1"
    assert len(asked) == 2


def test_an_endpoint_that_failed_is_a_500_without_its_words(gateway: GatewayCaller) -> None:
    gateway.endpoint = MemoryEndpoint(lambda *_: Said(500, b"Traceback: private"))
    reply = gateway.infer(ROW)
    assert (reply.status, b"private" in reply.body) == (500, False)
    assert gateway.log[-1]["failure"] == "functions.gateway.ports.EndpointFailedError"


@pytest.mark.parametrize(
    "claims",
    [
        {},
        {"x-switchyard-model": "digits:2"},
        {"x-switchyard-model": "digits:3", "x-switchyard-digest": "sha256:" + "0" * 64},
    ],
)
def test_an_answer_of_another_version_is_not_passed_on(
    gateway: GatewayCaller, claims: dict[str, str]
) -> None:
    """Law 2: answers come from the bytes that were released, or there is none."""
    gateway.endpoint = MemoryEndpoint(lambda *_: Said(200, b'{"outputs": []}', None, claims))
    reply = gateway.infer(ROW)
    assert (reply.status, b"outputs" in reply.body) == (500, False)
    assert gateway.log[-1]["failure"] == "model_store.contract.errors.IntegrityError"


class Late:
    """Lambda's context with so many seconds left."""

    aws_request_id = "1"

    def __init__(self, seconds: float) -> None:
        self._ms = round(seconds * 1000)

    def get_remaining_time_in_millis(self) -> int:
        return self._ms


def infer_event() -> object:
    return http_event("POST", INFER, REQUESTS["an ordinary one"])


@pytest.mark.parametrize("left", [3.0, 29.9])
def test_an_endpoint_that_is_late_is_a_504_in_time(gateway: GatewayCaller, left: float) -> None:
    """The answer comes before Lambda's time-out and before API Gateway's 30 s."""
    gateway.endpoint.takes_s = min(left - MARGIN_S, LONGEST_S) + 0.01
    reply = gateway.event(infer_event(), Late(left))
    assert (reply.status, list(reply.json)) == (504, ["error"])
    assert LONGEST_S + MARGIN_S < 30


def test_without_time_nobody_is_asked(gateway: GatewayCaller) -> None:
    assert gateway.event(infer_event(), Late(0.1)).status == 504
    assert gateway.endpoint.asked == []


def test_what_is_too_large_is_refused_before_it_travels(gateway: GatewayCaller) -> None:
    small = GatewayCaller(gateway.pin, gateway.endpoint, Limits(max_payload_bytes=100))
    assert small.infer(ROW, ROW, ROW).status == 413
    assert gateway.endpoint.asked == []


def test_an_answer_that_lambda_cannot_carry_is_a_413(gateway: GatewayCaller, linear_layer: Layer) -> None:
    large = Said(200, b'{"outputs": "' + b"x" * 7_000_000 + b'"}', None, linear_layer.load().headers)
    gateway.endpoint = MemoryEndpoint(lambda *_: large)
    reply = gateway.infer(ROW)
    assert (reply.status, "fewer rows" in reply.json["error"]) == (413, True)


def test_a_request_leaves_one_line_with_the_metrics_of_its_version(gateway: GatewayCaller) -> None:
    """Law 11: the metrics and dimensions of a model that is run in the function, but for rows, which are not read."""
    gateway.infer(ROW)
    (line,) = gateway.log
    assert (line["model"], line["version"], line["status"], line["route"]) == (
        "digits",
        "2",
        200,
        "/v2/models/{model}/infer",
    )
    (directive,) = line["_aws"]["CloudWatchMetrics"]
    assert [metric["Name"] for metric in directive["Metrics"]] == [name for name in METRICS if name != "Rows"]
    assert line["Faults"] == 0
    assert line["ModelLatency"] + line["Overhead"] == pytest.approx(line["ms"], abs=0.002)
    assert line["PayloadBytes"] > 0


def test_nan_is_refused_with_the_endpoints_status(arithmetic_layer: Layer) -> None:
    gateway = GatewayCaller(pin_of(arithmetic_layer), MemoryEndpoint(computing(arithmetic_layer.load())))
    tensors = [{"name": name, "datatype": "FP32", "shape": [1], "data": [0]} for name in ("a", "b")]
    body = {"inputs": tensors, "outputs": [{"name": "quotient"}]}
    assert gateway.post(INFER, json.dumps(body).encode()).status == 422
