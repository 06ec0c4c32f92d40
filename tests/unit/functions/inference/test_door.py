"""``functions.inference.door``: whatever a function is invoked with, it answers."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from functions.protocol.answers import Encoded
from model_store.contract.events import http_event

if TYPE_CHECKING:
    from tests.unit.functions.conftest import Caller

INFER = "/v2/models/digits/infer"
BODY = b'{"inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 4], "data": [1, 2, 3, 4]}]}'


@pytest.mark.parametrize(
    "event",
    [
        None,
        [],
        "text",
        {},
        {"version": "1.0", "requestContext": {}},
        {"version": "2.0", "requestContext": None},
        {"version": "2.0", "requestContext": {"http": {"method": "GET"}}},
        http_event("GET", "/v2") | {"body": 5},
        http_event("GET", "/v2") | {"headers": "text"},
        {"Records": [{"eventSource": "aws:sqs"}]},
    ],
)
def test_an_event_that_is_no_http_call_is_told_so(digits: Caller, event: object) -> None:
    reply = digits.event(event)
    assert reply.status == 400
    assert reply.json["error"].endswith("not an HTTP API call of payload format 2.0")


@pytest.mark.parametrize(
    "change",
    [
        {"headers": None},
        {"headers": {"host": "a:b:c"}},
        {"headers": {"Host": "[::1]:80", "X-Forwarded-Port": "none"}},
        {"headers": {"x-odd": 5}},
        {"cookies": ["a=b"]},
        {"rawQueryString": "a=%zz&&&"},
    ],
)
def test_odd_headers_do_not_stop_a_call(digits: Caller, change: dict[str, Any]) -> None:
    assert digits.event(http_event("POST", INFER, BODY) | change).status == 200


@pytest.mark.parametrize("change", [{"body": "abc", "isBase64Encoded": True}, {"body": "\ud800"}])
def test_a_body_that_cannot_be_read_is_a_400(digits: Caller, change: dict[str, Any]) -> None:
    assert digits.event(http_event("POST", INFER, BODY) | change).status == 400


@pytest.mark.parametrize("path", ["", "v2", "/%", "/%ff", "/v2/models/%2e%2e/infer", "/v2/models//infer"])
def test_odd_paths_lead_nowhere(digits: Caller, path: str) -> None:
    reply = digits.event(http_event("GET", path))
    assert (reply.status, list(reply.json)) in [(404, ["error"]), (405, ["error"])]


def test_an_answer_is_what_api_gateway_expects(digits: Caller) -> None:
    answer = digits.door(http_event("POST", INFER, BODY), None)
    assert answer["statusCode"] == 200
    assert answer["isBase64Encoded"] is False
    assert json.loads(answer["body"])["model_name"] == "digits"


DOCUMENT: dict[str, Any] = {
    "inputs": [{"name": "x", "datatype": "FP32", "shape": [1, 4], "parameters": {"binary_data_size": 16}}],
    "outputs": [{"name": "scores", "parameters": {"binary_data": True}}, {"name": "label"}],
}
X = np.array([[1, 0, 0, 0]], np.float32)


def test_binary_data_travel_as_base64_both_ways(digits: Caller) -> None:
    text = json.dumps(DOCUMENT).encode()
    event = http_event("POST", INFER, text + X.tobytes(), content_type="application/octet-stream")
    event["headers"]["Inference-Header-Content-Length"] = str(len(text))
    answer = digits.door(event, None)
    assert (event["isBase64Encoded"], answer["isBase64Encoded"]) == (True, True)
    assert answer["headers"]["content-type"] == "application/octet-stream"
    body = base64.b64decode(answer["body"])
    length = int(answer["headers"]["inference-header-content-length"])
    scores, label = json.loads(body[:length])["outputs"]
    assert (scores["parameters"], "data" in scores) == ({"binary_data_size": 12}, False)
    assert label["data"] == [2]
    assert np.frombuffer(body[length:], np.float32).tolist() == pytest.approx([0, 0.1, 0.2])


def test_an_answer_without_binary_data_is_text(digits: Caller) -> None:
    reply = digits.binary(DOCUMENT | {"outputs": [{"name": "label"}]}, X.tobytes())
    assert reply.headers["content-type"] == "application/json"
    assert "inference-header-content-length" not in reply.headers


def test_an_exception_that_nobody_expected_is_a_500_that_tells_nothing(digits: Caller) -> None:
    route = digits.door._routes["POST", INFER]

    def fail(_event: object, _context: object) -> Encoded:
        raise KeyError("the caller's secret")

    digits.door._routes["POST", INFER] = route._replace(answer=fail)
    reply = digits.post(INFER, {})
    assert (reply.status, reply.json) == (
        500,
        {"error": "the server failed on this request: its log has the details"},
    )
    assert reply.headers["x-switchyard-model"] == "digits:2"
    assert (digits.log[-1]["status"], digits.log[-1]["failure"]) == (500, "builtins.KeyError")
