"""The laws of ``functions.front.ports.Invoker``, held against every adapter.

Lambda is botocore's own stub: requests and answers are checked against Lambda's service model.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from typing import Any

import boto3
import pytest
from botocore.response import StreamingBody
from botocore.stub import Stubber

from functions.front.adapters.aws import LambdaInvoker
from functions.front.adapters.memory import MemoryInvoker
from functions.front.ports import Invoker, NoAnswerError

EVENT = {"rawPath": "/v2"}
ANSWER = {"statusCode": 200, "body": "{}"}

Make = Callable[[str], Invoker]


def raising(_: dict[str, Any]) -> dict[str, Any]:
    raise ValueError("a secret, and where it stands")


def memory(behaviour: str) -> Invoker:
    functions = {"answers": lambda event: ANSWER | {"seen": event}, "fails": raising}
    if behaviour == "is missing":
        return MemoryInvoker({})
    return MemoryInvoker({("f", "live"): functions[behaviour]})


def stubbed(behaviour: str) -> Invoker:
    client = boto3.client(
        "lambda", region_name="eu-west-1", aws_access_key_id="testing", aws_secret_access_key="testing"
    )
    stub = Stubber(client)
    expected = {"FunctionName": "f", "Qualifier": "live", "Payload": json.dumps(EVENT).encode()}
    if behaviour == "is missing":
        stub.add_client_error("invoke", "ResourceNotFoundException", expected_params=expected)
    else:
        failed = {"errorType": "ValueError", "errorMessage": "a secret", "stackTrace": ["where it stands"]}
        content = json.dumps(failed if behaviour == "fails" else ANSWER | {"seen": EVENT}).encode()
        answer = {"StatusCode": 200, "Payload": StreamingBody(io.BytesIO(content), len(content))}
        stub.add_response(
            "invoke", answer | ({"FunctionError": "Unhandled"} if behaviour == "fails" else {}), expected
        )
    stub.activate()
    return LambdaInvoker(client)


@pytest.fixture(params=[memory, stubbed], ids=["memory", "aws"])
def make(request: pytest.FixtureRequest) -> Make:
    """Make an invoker whose function ``f``, alias ``live``, behaves as told."""
    made: Make = request.param
    return made


def test_a_function_is_given_the_event_and_its_return_value_comes_back(make: Make) -> None:
    assert make("answers").invoke("f", "live", EVENT) == ANSWER | {"seen": EVENT}


def test_a_function_that_is_not_there_is_no_answer(make: Make) -> None:
    with pytest.raises(NoAnswerError, match=r"^it is not deployed$"):
        make("is missing").invoke("f", "live", EVENT)


def test_a_function_that_fails_is_no_answer_and_its_insides_stay_in(make: Make) -> None:
    with pytest.raises(NoAnswerError, match=r"^it failed with ValueError$"):
        make("fails").invoke("f", "live", EVENT)
