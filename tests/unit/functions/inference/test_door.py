"""``functions.inference.door``: whatever a function is invoked with, it answers."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

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
