"""``functions.inference.doors``: every event finds its door, and HTTP calls pay for none of the others."""

from __future__ import annotations

import base64
import copy
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from functions.inference.doors import Doors
from functions.inference.doors.outcome import FunctionFailedError
from model_store.contract.events import http_event, read_answer
from tests.unit.functions.inference.doors.conftest import House, X
from tests.unit.model_store.contract.test_rest_events import REST

ROOT = Path(__file__).parents[5]

FUNCTION_URL = {
    "version": "2.0",
    "routeKey": "$default",
    "rawPath": "/v2/models/digits/infer",
    "rawQueryString": "",
    "headers": {"content-type": "application/json", "x-forwarded-port": "443"},
    "requestContext": {
        "accountId": "anonymous",
        "apiId": "abcdefghij",
        "domainName": "abcdefghij.lambda-url.eu-central-1.on.aws",
        "domainPrefix": "abcdefghij",
        "http": {
            "method": "POST",
            "path": "/v2/models/digits/infer",
            "protocol": "HTTP/1.1",
            "sourceIp": "192.0.2.1",
            "userAgent": "curl/8",
        },
        "requestId": "7d8c1a5e",
        "routeKey": "$default",
        "stage": "$default",
        "time": "22/Nov/2026:09:00:00 +0000",
        "timeEpoch": 1795338000000,
    },
    "body": '{"inputs":[{"name":"x","datatype":"FP32","shape":[1,4],"data":[0,0,0,1]}]}',
    "isBase64Encoded": False,
}
"""As the AWS Lambda developer guide shows one, "Lambda function URLs: request payload format"."""


def test_an_http_api_is_answered_as_ever(house: House) -> None:
    status, headers, _ = read_answer(house.doors(http_event("GET", "/v2/models/digits"), None))
    assert (status, headers["x-switchyard-model"]) == (200, "digits:2")


def test_a_function_url_is_an_http_call(house: House) -> None:
    status, headers, body = read_answer(house.doors(FUNCTION_URL, None))
    assert (status, headers["x-switchyard-model"]) == (200, "digits:2")
    assert b'"label"' in body


def test_a_rest_api_is_answered_in_its_own_format(house: House) -> None:
    """Payload format 1.0, by every road: the quick one, the framework's, and into a refusal."""
    for path, status in (
        ("/v2/models/digits/infer", 200),
        ("/v2/models/other/infer", 404),
        ("/v2/docs", 404),
    ):
        body = base64.b64encode(str(FUNCTION_URL["body"]).encode()).decode()
        event = copy.deepcopy(REST) | {"path": path, "body": body}
        answer = house.doors(event, None)
        assert answer["statusCode"] == status, answer
        assert set(answer) <= {"statusCode", "headers", "multiValueHeaders", "body", "isBase64Encoded"}


def test_a_call_of_neither_format_is_told_so(house: House) -> None:
    assert house.doors({"httpMethod": "GET", "requestContext": 7}, None)["statusCode"] == 400
    assert house.doors({"httpMethod": 7, "path": None, "requestContext": {}}, None)["statusCode"] == 400


def test_a_plain_request_is_answered_plainly(house: House) -> None:
    assert house.doors({"inputs": [X]}, None)["model_version"] == "2"


@pytest.mark.parametrize(
    "event",
    [
        None,
        [],
        "text",
        7,
        {},
        {"Records": []},
        {"Records": 7},
        {"Records": [7]},
        {"Records": [{"eventSource": "aws:kinesis"}]},
        {"Records": [{"eventSource": "aws:sqs"}, {"eventSource": "aws:s3"}]},
        {"requestContext": 7, "inputs": []},
    ],
)
def test_an_event_of_no_known_shape_is_told_so(house: House, event: Any) -> None:
    answer = house.doors(event, None)
    assert answer["statusCode"] == 400
    assert "not an HTTP API call" in answer["body"]


def test_messages_without_a_place_for_answers_come_again(house: House) -> None:
    event = {"Records": [{"eventSource": "aws:sqs", "messageId": "1", "body": "{}"}]}
    with pytest.raises(FunctionFailedError, match="names no queue for their answers"):
        house.doors(event, None)


def test_each_kind_of_batch_is_its_own_door_s(house: House) -> None:
    reached: list[str] = []
    doors = Doors(house.doors, house.service, house.log, {"SWITCHYARD_ANSWERS_QUEUE": "https://q"})

    def reach(name: str) -> Callable[[object, object], dict[str, Any]]:
        def door(_event: object, _context: object) -> dict[str, Any]:
            reached.append(name)
            return {}

        return door

    for name in ("_messages", "_objects"):
        vars(doors)[name] = reach(name)
    doors({"Records": [{"eventSource": "aws:sqs"}]}, None)
    doors({"Records": [{"eventSource": "aws:s3"}]}, None)
    doors({"source": "aws.s3", "detail-type": "Object Created", "detail": {}}, None)
    assert reached == ["_messages", "_objects", "_objects"]


def test_the_doors_beside_http_are_imported_when_they_are_needed() -> None:
    """Cold start: an HTTP call carries none of them, and no way into one carries botocore."""
    probe = (
        "import sys; from functions.inference.doors import Doors; "
        "print(*[m for m in sys.modules if m.startswith(('functions.inference', 'botocore'))])"
    )
    done = subprocess.run([sys.executable, "-c", probe], cwd=ROOT, capture_output=True, text=True, check=True)
    assert set(done.stdout.split()) == {"functions.inference", "functions.inference.doors"}
    probe = (
        "import sys, functions.inference.doors.messages, functions.inference.adapters.aws; "
        "print(*[m for m in sys.modules if m.startswith('boto')])"
    )
    done = subprocess.run([sys.executable, "-c", probe], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
