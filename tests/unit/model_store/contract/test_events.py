"""``model_store.contract.events``: what API Gateway would send, and what it would understand."""

import base64
import json

import pytest

from model_store.contract.events import NotAnHttpAnswerError, http_event, read_answer


def test_a_call_without_a_body_has_none() -> None:
    event = http_event("GET", "/v2/health/ready")
    assert event["version"] == "2.0"
    assert event["requestContext"]["http"]["method"] == "GET"
    assert event["rawPath"] == event["requestContext"]["http"]["path"] == "/v2/health/ready"
    assert "body" not in event
    assert "content-type" not in event["headers"]
    json.dumps(event)


def test_the_query_is_kept_apart_from_the_path() -> None:
    event = http_event("GET", "/v2?explain=1")
    assert (event["rawPath"], event["rawQueryString"]) == ("/v2", "explain=1")


@pytest.mark.parametrize("kind", ["application/json", "application/json; charset=utf-8", "text/plain"])
def test_text_travels_as_text(kind: str) -> None:
    event = http_event("POST", "/v2", "{zwölf}".encode(), content_type=kind)
    assert (event["body"], event["isBase64Encoded"]) == ("{zwölf}", False)
    assert event["headers"]["content-length"] == "8"


@pytest.mark.parametrize(
    ("kind", "body"), [("application/octet-stream", b"abc"), ("application/json", b"\xff\xfe")]
)
def test_everything_else_travels_as_base64(kind: str, body: bytes) -> None:
    event = http_event("POST", "/v2", body, content_type=kind)
    assert event["isBase64Encoded"] is True
    assert base64.b64decode(event["body"]) == body


def test_an_answer_is_status_headers_and_bytes() -> None:
    answer = {"statusCode": 200, "headers": {"X-Switchyard-Model": "digits:7"}, "body": "{}"}
    assert read_answer(answer) == (200, {"x-switchyard-model": "digits:7"}, b"{}")
    binary = {"statusCode": 200, "body": base64.b64encode(b"\x00\xff").decode(), "isBase64Encoded": True}
    assert read_answer(binary) == (200, {}, b"\x00\xff")
    assert read_answer({"statusCode": 204}) == (204, {}, b"")


@pytest.mark.parametrize(
    "answer",
    [
        None,
        "text",
        {},
        {"statusCode": "200"},
        {"statusCode": True},
        {"statusCode": 200, "body": {"a": 1}},
        {"statusCode": 200, "headers": ["a"]},
        {"statusCode": 200, "body": "no base64!", "isBase64Encoded": True},
        {"statusCode": 200, "body": "ö", "isBase64Encoded": True},
    ],
)
def test_what_is_no_http_answer_is_refused(answer: object) -> None:
    with pytest.raises(NotAnHttpAnswerError):
        read_answer(answer)


def test_a_function_that_failed_is_quoted() -> None:
    failed = {"errorType": "Runtime.ExitError", "errorMessage": "exit status 1"}
    with pytest.raises(NotAnHttpAnswerError, match=r"Runtime\.ExitError: exit status 1"):
        read_answer(failed)
