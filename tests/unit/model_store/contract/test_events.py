"""``model_store.contract.events``: what API Gateway sends a function, and what it takes back."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from model_store.contract.events import NotAnHttpAnswerError, http_event, read_answer


def test_a_call_becomes_an_event_of_payload_format_two() -> None:
    event = http_event("GET", "/v2/models/digits?a=1")
    assert (event["version"], event["rawPath"], event["rawQueryString"]) == (
        "2.0",
        "/v2/models/digits",
        "a=1",
    )
    assert event["requestContext"]["http"]["method"] == "GET"
    assert event["requestContext"]["http"]["path"] == "/v2/models/digits"
    assert "body" not in event
    assert json.loads(json.dumps(event)) == event


def test_every_event_has_a_request_id_of_its_own() -> None:
    ids = {http_event("GET", "/v2")["requestContext"]["requestId"] for _ in range(3)}
    assert len(ids) == 3


@pytest.mark.parametrize(
    "content_type", ["application/json", "Application/JSON; charset=utf-8", "text/plain"]
)
def test_text_travels_as_text(content_type: str) -> None:
    event = http_event("POST", "/v2", "{é}".encode(), content_type=content_type)
    assert (event["body"], event["isBase64Encoded"]) == ("{é}", False)
    assert event["headers"]["content-type"] == content_type
    assert event["headers"]["content-length"] == "4"


@pytest.mark.parametrize(
    ("body", "content_type"),
    [(b"{}", "application/octet-stream"), (b"{}", ""), (b"\xff\xfe", "application/json")],
)
def test_everything_else_travels_as_base64(body: bytes, content_type: str) -> None:
    event = http_event("POST", "/v2", body, content_type=content_type)
    assert event["isBase64Encoded"] is True
    assert base64.b64decode(event["body"]) == body


def test_an_answer_is_taken_apart() -> None:
    answer = {"statusCode": 201, "headers": {"X-A": "1"}, "body": "é", "isBase64Encoded": False}
    assert read_answer(answer) == (201, {"x-a": "1"}, "é".encode())


def test_a_binary_answer_is_decoded() -> None:
    answer = {"statusCode": 200, "body": base64.b64encode(b"\xff").decode(), "isBase64Encoded": True}
    assert read_answer(answer) == (200, {}, b"\xff")


def test_an_answer_may_have_no_body_and_no_headers() -> None:
    assert read_answer({"statusCode": 204, "body": None, "headers": None}) == (204, {}, b"")


def test_a_failed_function_is_named_with_its_error() -> None:
    with pytest.raises(NotAnHttpAnswerError, match=r"Runtime\.ImportModuleError: no module"):
        read_answer({"errorType": "Runtime.ImportModuleError", "errorMessage": "no module"})


@pytest.mark.parametrize(
    "answer",
    [
        None,
        [],
        "text",
        {},
        {"statusCode": "200"},
        {"statusCode": True},
        {"statusCode": 200, "body": 5},
        {"statusCode": 200, "headers": [1]},
        {"statusCode": 200, "body": "&&&", "isBase64Encoded": True},
        {"statusCode": 200, "body": "\ud800"},
    ],
)
def test_what_is_no_http_answer_is_refused(answer: Any) -> None:
    with pytest.raises(NotAnHttpAnswerError):
        read_answer(answer)
