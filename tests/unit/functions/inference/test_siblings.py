"""``functions.inference.siblings``: Lambda's ways of not answering, put into words and statuses."""

from __future__ import annotations

import io
import json
from typing import Any

import boto3
import pytest
from botocore.response import StreamingBody
from botocore.stub import Stubber

from functions.inference.pinned import NoAnswerError, NoSuchPinError
from functions.inference.siblings import LambdaSiblings, siblings_of

FUNCTION = "switchyard-test-digits"


def client() -> Any:
    return boto3.client(
        "lambda", region_name="eu-west-1", aws_access_key_id="testing", aws_secret_access_key="testing"
    )


def body(content: bytes) -> StreamingBody:
    return StreamingBody(io.BytesIO(content), len(content))


def test_the_sibling_is_the_same_function_at_another_alias() -> None:
    stubbed = client()
    with Stubber(stubbed) as stub:
        stub.add_response(
            "invoke",
            {"StatusCode": 200, "Payload": body(b'{"statusCode": 200}')},
            {"FunctionName": FUNCTION, "Qualifier": "v7", "Payload": json.dumps({"a": 1}).encode()},
        )
        assert LambdaSiblings(FUNCTION, stubbed).ask("v7", {"a": 1}) == {"statusCode": 200}


def test_no_alias_of_that_name_is_no_such_pin() -> None:
    stubbed = client()
    with Stubber(stubbed) as stub:
        stub.add_client_error("invoke", "ResourceNotFoundException", "Function not found: arn:aws:lambda:…")
        with pytest.raises(NoSuchPinError):
            LambdaSiblings(FUNCTION, stubbed).ask("v7", {})


@pytest.mark.parametrize(
    ("code", "status", "words"),
    [
        ("TooManyRequestsException", 503, "is throttled"),
        ("RequestTooLargeException", 413, "too large"),
        ("SnapStartNotReadyException", 503, "is not active yet"),
        ("AccessDeniedException", 500, "may not be asked"),
        ("ServiceException", 503, "Lambda answered ServiceException"),
    ],
)
def test_a_refusal_is_put_into_words_without_an_arn(code: str, status: int, words: str) -> None:
    stubbed = client()
    with Stubber(stubbed) as stub:
        stub.add_client_error("invoke", code, "arn:aws:lambda:eu-west-1:123456789012:function:f")
        with pytest.raises(NoAnswerError, match=words) as refused:
            LambdaSiblings(FUNCTION, stubbed).ask("v7", {})
    assert refused.value.status == status
    assert "arn:" not in str(refused.value)


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ({"FunctionError": "Unhandled", "Payload": body(b'{"errorMessage": "secret"}')}, "failed"),
        ({"Payload": body(b"<html>")}, "not JSON"),
    ],
)
def test_a_failed_function_is_a_500_without_its_words(answer: dict[str, Any], words: str) -> None:
    stubbed = client()
    with Stubber(stubbed) as stub:
        stub.add_response("invoke", {"StatusCode": 200, **answer})
        with pytest.raises(NoAnswerError, match=words) as refused:
            LambdaSiblings(FUNCTION, stubbed).ask("v7", {})
    assert refused.value.status == 500
    assert "secret" not in str(refused.value)


def test_the_pins_are_the_aliases_that_lead_to_their_own_version() -> None:
    """A parked pin carries another version in its note; aliases of the catalog are no pins."""
    stubbed = client()
    aliases = [
        {"Name": "live", "Description": '{"line": 3, "plan": "x", "version": 2}'},
        {"Name": "v10", "Description": '{"line": 0, "plan": "", "version": 10}'},
        {"Name": "v2", "Description": '{"line": 0, "plan": "", "version": 2}'},
        {"Name": "v3", "Description": '{"line": 0, "plan": "", "version": 0}'},
        {"Name": "v4", "Description": "by hand"},
        {"Name": "vip"},
    ]
    with Stubber(stubbed) as stub:
        stub.add_response("list_aliases", {"Aliases": aliases}, {"FunctionName": FUNCTION})
        assert LambdaSiblings(FUNCTION, stubbed).pins() == [2, 10]


def test_pins_that_nobody_may_list_are_an_error_of_ours() -> None:
    stubbed = client()
    with Stubber(stubbed) as stub:
        stub.add_client_error("list_aliases", "TooManyRequestsException")
        with pytest.raises(NoAnswerError):
            LambdaSiblings(FUNCTION, stubbed).pins()


def test_the_client_is_made_when_first_asked_and_once(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    connect = siblings_of({"AWS_LAMBDA_FUNCTION_NAME": FUNCTION})
    assert connect() is connect()
