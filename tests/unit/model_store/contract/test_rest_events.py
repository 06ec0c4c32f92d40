"""``model_store.contract.rest_events``: a REST API's call reads like an HTTP API's, and keeps its key to itself."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest

from model_store.contract.events import http_event
from model_store.contract.rest_events import as_http_event, as_rest_answer, is_rest_event

KEY = "the-key-of-a-caller-0123456789"

REST: dict[str, Any] = {
    "resource": "/v2/models/digits/{proxy+}",
    "path": "/v2/models/digits/infer",
    "httpMethod": "POST",
    "headers": {"Content-Type": "application/json", "X-Api-Key": KEY, "Accept": "text/plain"},
    "multiValueHeaders": {
        "Content-Type": ["application/json"],
        "X-Api-Key": [KEY],
        "Accept": ["*/*", "text/plain"],
        "Cookie": ["a=1", "b=2"],
    },
    "queryStringParameters": {"x": "2"},
    "multiValueQueryStringParameters": {"x": ["1", "2"], "y": ["a b&c"]},
    "pathParameters": {"proxy": "infer"},
    "stageVariables": None,
    "requestContext": {
        "resourceId": "abc123",
        "authorizer": None,
        "resourcePath": "/v2/models/digits/{proxy+}",
        "operationName": None,
        "httpMethod": "POST",
        "extendedRequestId": "Jg==",
        "requestTime": "22/Nov/2026:09:00:00 +0000",
        "path": "/prod/v2/models/digits/infer",
        "accountId": "123456789012",
        "protocol": "HTTP/1.1",
        "stage": "prod",
        "domainPrefix": "abcdefghij",
        "requestTimeEpoch": 1795338000000,
        "requestId": "7d8c1a5e-0000-0000-0000-000000000000",
        "identity": {
            "apiKey": KEY,
            "apiKeyId": "k1a2b3",
            "accountId": None,
            "caller": None,
            "sourceIp": "192.0.2.1",
            "accessKey": None,
            "userArn": None,
            "userAgent": "curl/8",
            "user": None,
        },
        "domainName": "abcdefghij.execute-api.eu-central-1.amazonaws.com",
        "apiId": "abcdefghij",
    },
    "body": "eyJpbnB1dHMiOltdfQ==",
    "isBase64Encoded": True,
}
"""As the API Gateway developer guide shows one, "Input format of a Lambda function for proxy integration"."""


def changed(**context: Any) -> dict[str, Any]:
    event = copy.deepcopy(REST)
    event["requestContext"] |= context
    return event


def test_the_two_formats_are_told_apart() -> None:
    assert is_rest_event(REST)
    assert not is_rest_event(http_event("GET", "/v2"))
    assert not is_rest_event({"httpMethod": "GET", "requestContext": 7})
    assert not is_rest_event({"inputs": []})


def test_the_same_call_has_the_same_parts_in_the_other_format() -> None:
    event = as_http_event(REST)
    assert event["version"] == "2.0"
    assert event["rawPath"] == event["requestContext"]["http"]["path"] == "/v2/models/digits/infer"
    assert event["rawQueryString"] == "x=1&x=2&y=a+b%26c"
    assert event["queryStringParameters"] == {"x": "1,2", "y": "a b&c"}
    assert event["headers"] == {
        "content-type": "application/json",
        "accept": "*/*,text/plain",
        "cookie": "a=1;b=2",
    }
    assert (event["body"], event["isBase64Encoded"]) == (REST["body"], True)
    assert event["requestContext"]["http"]["method"] == "POST"
    assert event["requestContext"]["requestId"] == REST["requestContext"]["requestId"]
    assert event["pathParameters"] == {"proxy": "infer"}


def test_the_key_ends_here() -> None:
    assert KEY not in json.dumps(as_http_event(REST))


def test_without_lists_of_values_the_single_ones_count() -> None:
    event = copy.deepcopy(REST) | {"multiValueHeaders": None, "multiValueQueryStringParameters": None}
    made = as_http_event(event)
    assert made["headers"] == {"content-type": "application/json", "accept": "text/plain"}
    assert made["rawQueryString"] == "x=2"


def test_who_calls_is_said_as_an_http_api_says_it() -> None:
    iam = {"accountId": "1", "user": "AROA:anna", "userArn": "arn:aws:sts::1:assumed-role/a/anna"}
    said = as_http_event(changed(identity=iam))["requestContext"]["authorizer"]
    assert said == {"iam": {"accountId": "1", "userId": "AROA:anna", "userArn": iam["userArn"]}}
    token = {"principalId": "ada", "iss": "https://login.example", "sub": "ada"}
    said = as_http_event(changed(authorizer=token))["requestContext"]["authorizer"]
    claims = {"iss": "https://login.example", "sub": "ada", "client_id": None}
    assert said == {"jwt": {"claims": claims}, "key": "k1a2b3"}
    assert "authorizer" not in as_http_event(changed(identity=None))["requestContext"]


@pytest.mark.parametrize("part", ["headers", "body", "path", "queryStringParameters", "isBase64Encoded"])
@pytest.mark.parametrize("value", [None, 7, [], {"a": 7}], ids=["nothing", "number", "list", "object"])
def test_whatever_stands_in_an_event_it_is_read_without_an_error(part: str, value: Any) -> None:
    event = copy.deepcopy(REST) | {part: value, "multiValueHeaders": 7, "requestContext": {"identity": 7}}
    assert as_http_event(event)["version"] == "2.0"


def test_an_answer_has_what_a_rest_api_takes_and_no_key_more() -> None:
    answer = {"statusCode": 200, "headers": {}, "body": "", "isBase64Encoded": False, "cookies": []}
    assert set(as_rest_answer(answer)) == {"statusCode", "headers", "body", "isBase64Encoded"}
