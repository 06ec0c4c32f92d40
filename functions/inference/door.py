"""From a Lambda event to the API: checks that it is an HTTP call, then lets Mangum carry it.

A Lambda function can be invoked with any JSON at all. What is not an HTTP call is told so; an exception
here would reach the caller as a stack trace.
"""

from __future__ import annotations

import json
from typing import Any

from mangum import Mangum
from mangum.types import ASGI

from functions.protocol.tensors import kind

Event = dict[str, Any]

# Mangum parses these two and fails on what a caller may write into them. Nothing here reads them.
_UNREAD_HEADERS = frozenset({"host", "x-forwarded-port"})


class HttpDoor:
    """A Lambda handler for API Gateway's HTTP API events, payload format 2.0."""

    def __init__(self, app: ASGI) -> None:
        # "off", because Mangum runs the ASGI lifespan on every invocation: anything loaded there would
        # be loaded again for each request.
        self._mangum = Mangum(app, lifespan="off")

    def __call__(self, event: object, context: object) -> dict[str, Any]:
        if not isinstance(event, dict) or not _is_http(event):
            return _refusal(f"this event is {kind(event)} and not an HTTP API call of payload format 2.0")
        try:
            # The app answers for its own exceptions; what gets out is an event that cannot be read.
            return self._mangum(_readable(event), context)  # type: ignore[arg-type]
        except ValueError:
            return _refusal("the body of this event is not what its `isBase64Encoded` says")


def _is_http(event: Event) -> bool:
    if event.get("version") != "2.0" or not isinstance(event.get("requestContext"), dict):
        return False
    http = event["requestContext"].get("http")
    return (
        isinstance(http, dict)
        and all(isinstance(http.get(key), str) for key in ("method", "path"))
        and isinstance(event.get("body") or "", str)
        and isinstance(event.get("headers") or {}, dict)
    )


def _readable(event: Event) -> Event:
    http = event["requestContext"]["http"]
    headers = {
        name: str(value)
        for name, value in (event.get("headers") or {}).items()
        if name.lower() not in _UNREAD_HEADERS
    }
    return {
        **event,
        "requestContext": {**event["requestContext"], "http": {"sourceIp": "", **http}},
        "headers": headers,
        "cookies": [],
    }


def _refusal(message: str) -> dict[str, Any]:
    return {
        "statusCode": 400,
        "headers": {"content-type": "application/json"},
        "body": json.dumps({"error": message}),
        "isBase64Encoded": False,
    }
