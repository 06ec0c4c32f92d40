"""``functions.front.adapters.aws``: Lambda's own ways of not answering, put into words for callers."""

from __future__ import annotations

import io
from typing import Any

import boto3
import pytest
from botocore.exceptions import ReadTimeoutError
from botocore.response import StreamingBody
from botocore.stub import Stubber

from functions.front.adapters import aws
from functions.front.adapters.aws import LambdaInvoker
from functions.front.ports import NoAnswerError


def client() -> Any:
    return boto3.client(
        "lambda", region_name="eu-west-1", aws_access_key_id="testing", aws_secret_access_key="testing"
    )


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("TooManyRequestsException", "it is throttled"),
        ("AccessDeniedException", "the front may not invoke it"),
        ("ServiceException", "Lambda answered ServiceException"),
    ],
)
def test_a_refusal_by_lambda_is_put_into_words(code: str, words: str) -> None:
    stubbed = client()
    with Stubber(stubbed) as stub:
        stub.add_client_error("invoke", code, "arn:aws:lambda:eu-west-1:123456789012:function:f")
        with pytest.raises(NoAnswerError, match=f"^{words}$"):
            LambdaInvoker(stubbed).invoke("f", "live", {})


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"<html>", "it answered something that is not JSON"),
        (b"[]", "it answered something that is not a JSON object"),
    ],
)
def test_an_answer_that_is_no_object_is_no_answer(content: bytes, words: str) -> None:
    stubbed = client()
    with Stubber(stubbed) as stub:
        payload = StreamingBody(io.BytesIO(content), len(content))
        stub.add_response("invoke", {"StatusCode": 200, "Payload": payload})
        with pytest.raises(NoAnswerError, match=f"^{words}$"):
            LambdaInvoker(stubbed).invoke("f", "live", {})


def test_a_function_that_takes_too_long_is_no_answer() -> None:
    class Slow:
        def invoke(self, **_: object) -> dict[str, Any]:
            raise ReadTimeoutError(endpoint_url="http://localhost")

    with pytest.raises(NoAnswerError, match=r"^Lambda did not answer \(ReadTimeoutError\)$"):
        LambdaInvoker(Slow()).invoke("f", "live", {})


def test_the_client_gives_up_long_before_the_api_does(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    config = aws._client().meta.config
    assert config.connect_timeout + config.read_timeout < 30
    assert config.retries["total_max_attempts"] == 1
