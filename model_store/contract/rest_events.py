"""HTTP calls as a REST API hands them to a function: payload format 1.0, read into 2.0's shape and answered.

A function has one way in, which speaks 2.0. What came from a REST API is rewritten before anything looks at
it, and its answer is cut to what a REST API takes: one key more, and it answers 502 in the function's place.
The caller's API key ends here; nothing behind needs it, so nothing behind can keep it.

Source of both formats: API Gateway developer guide, "Input format of a Lambda function for proxy
integration" and "Create AWS Lambda proxy integrations for HTTP APIs".
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import urlencode

KEY_HEADER = "x-api-key"

_ANSWER_KEYS = ("statusCode", "headers", "multiValueHeaders", "body", "isBase64Encoded")


def is_rest_event(event: Mapping[str, Any]) -> bool:
    """Whether an event is of format 1.0; format 2.0 has its method elsewhere."""
    return "httpMethod" in event and isinstance(event.get("requestContext"), Mapping)


def as_http_event(event: Mapping[str, Any]) -> dict[str, Any]:
    """The same call in payload format 2.0. What is missing or of another type stays so, for the door to
    refuse."""
    context = event["requestContext"]
    identity = _mapping(context.get("identity"))
    path, resource = event.get("path"), str(context.get("resourcePath") or "$default")
    query = dict(_values(event, "multiValueQueryStringParameters", "queryStringParameters"))
    method = event["httpMethod"]
    made: dict[str, Any] = {
        "version": "2.0",
        "routeKey": resource,
        "rawPath": path,
        "rawQueryString": urlencode(query, doseq=True),
        "headers": {name: (";" if name == "cookie" else ",").join(v) for name, v in _headers(event)},
        "requestContext": {
            "accountId": context.get("accountId"),
            "apiId": context.get("apiId"),
            "domainName": context.get("domainName"),
            "http": {
                "method": method,
                "path": path,
                "protocol": context.get("protocol") or "HTTP/1.1",
                "sourceIp": identity.get("sourceIp") or "",
                "userAgent": identity.get("userAgent") or "",
            },
            "requestId": context.get("requestId"),
            "routeKey": resource,
            "stage": context.get("stage"),
            "time": context.get("requestTime"),
            "timeEpoch": context.get("requestTimeEpoch"),
        },
        "body": event.get("body"),
        "isBase64Encoded": bool(event.get("isBase64Encoded")),
    }
    if query:
        made["queryStringParameters"] = {name: ",".join(values) for name, values in query.items()}
    if isinstance(event.get("pathParameters"), Mapping):
        made["pathParameters"] = dict(event["pathParameters"])
    if caller := _caller(identity, _mapping(context.get("authorizer"))):
        made["requestContext"]["authorizer"] = caller
    return made


def as_rest_answer(answer: Mapping[str, Any]) -> dict[str, Any]:
    """What a REST API takes of an answer."""
    return {key: answer[key] for key in _ANSWER_KEYS if key in answer}


def _caller(identity: Mapping[str, Any], authorizer: Mapping[str, Any]) -> dict[str, Any]:
    """Who calls, as an HTTP API says it: ``iam``, ``jwt`` with its claims, and ``key`` by the key's id."""
    said: dict[str, Any] = {}
    if identity.get("userArn"):
        said["iam"] = {
            "accountId": identity.get("accountId"),
            "userId": identity.get("user"),
            "userArn": identity["userArn"],
        }
    if authorizer.get("iss"):
        said["jwt"] = {"claims": {name: authorizer.get(name) for name in ("iss", "sub", "client_id")}}
    if identity.get("apiKeyId"):
        said["key"] = identity["apiKeyId"]
    return said


def _headers(event: Mapping[str, Any]) -> Iterator[tuple[str, list[str]]]:
    """Names in lower case, as format 2.0 has them; a REST API keeps them as they were sent."""
    joined: dict[str, list[str]] = {}
    for name, values in _values(event, "multiValueHeaders", "headers"):
        joined.setdefault(name.lower(), []).extend(values)
    joined.pop(KEY_HEADER, None)
    yield from joined.items()


def _values(event: Mapping[str, Any], many: str, one: str) -> Iterator[tuple[str, list[str]]]:
    for name, values in (_mapping(event.get(many)) or _mapping(event.get(one))).items():
        yield str(name), [str(value) for value in (values if isinstance(values, list) else [values])]


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
