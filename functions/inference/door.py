"""From a Lambda event to an answer: the protocol's own calls at once, everything else through FastAPI.

A Lambda function can be invoked with any JSON at all. What is not an HTTP call is told so; an exception
here would reach the caller as a stack trace.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from typing import Any

import orjson

from functions.inference.quick import ANY_ID, Event, Route, quick_routes
from functions.inference.released import Service
from functions.inference.request_log import INTERNAL_ERROR, RequestLog, alias_of, cut_prefix, request_id
from functions.inference.statuses import STATUS
from functions.protocol.carried import to_base64
from functions.protocol.encoded import Answered, Encoded
from functions.protocol.errors import BadInputError, ProtocolError
from functions.protocol.headers import content_headers, retry_headers
from functions.protocol.words import kind

# Mangum parses these two and fails on what a caller may write into them. Nothing here reads them.
_UNREAD_HEADERS = frozenset({"host", "x-forwarded-port"})

_NONE: dict[str, str] = {}

Handler = Callable[[Any, Any], dict[str, Any]]


class HttpDoor:
    """A Lambda handler for API Gateway's HTTP events, payload format 2.0 (function URLs send it too).

    What a REST API sends has been read into that format before (``functions.inference.doors``).
    """

    def __init__(
        self, service: Service, log: RequestLog, routes: Mapping[tuple[str, str], Route] | None = None
    ) -> None:
        """``routes`` come on top of the protocol's own, or in their place."""
        self._service = service
        self._log = log
        self._headers = service.served.headers
        self._json_headers = {**content_headers(Encoded(b"")), **self._headers}
        self._routes = {**quick_routes(service), **(routes or {})}
        self._framework: Handler | None = None

    def __call__(self, event: object, context: object) -> dict[str, Any]:
        if not isinstance(event, dict) or not _is_http(event):
            return _refusal(f"this event is {kind(event)} and not an HTTP API call of payload format 2.0")
        http = event["requestContext"]["http"]
        path = cut_prefix(http["path"])
        route = self._routes.get((http["method"], path)) or self._routes.get(
            (http["method"], path.rpartition("/")[0] + ANY_ID)
        )
        if route is not None:
            return self._quick(route, event, context)
        if self._framework is None:
            self._framework = self._start_framework()
        try:
            # The app answers for its own exceptions; what gets out is an event that cannot be read.
            return self._framework(_readable(event), context)
        except ValueError:
            return _refusal("the body of this event is not what its `isBase64Encoded` says")

    def _quick(self, route: Route, event: Event, context: object) -> dict[str, Any]:
        started = time.perf_counter()
        status, failure = 200, None
        more: Mapping[str, str] = _NONE
        try:
            answer = route.answer(event, context)
            if isinstance(answer, Answered):
                encoded, more, status = answer
            else:
                encoded = answer
        except (ProtocolError, BadInputError) as error:
            status, encoded = STATUS[type(error)], Encoded(orjson.dumps({"error": str(error)}))
            more = retry_headers(error)
        except Exception as error:  # noqa: BLE001 - the last place to turn it into an answer
            status, encoded, failure = 500, Encoded(INTERNAL_ERROR), error
        self._log.line(
            request_id=request_id(event, context),
            method=event["requestContext"]["http"]["method"],
            route=route.template,
            status=status,
            started=started,
            error=failure,
            work=encoded.work,
            alias=alias_of(context),
        )
        return {
            "statusCode": status,
            "headers": (
                self._json_headers.copy()
                if encoded.json_length is None and not more
                else {**content_headers(encoded), **self._headers, **more}
            ),
            "body": encoded.body.decode() if encoded.is_text else to_base64(encoded.body),
            "isBase64Encoded": not encoded.is_text,
        }

    def _start_framework(self) -> Handler:
        """Import FastAPI and Mangum: more than everything else together, and most environments never do."""
        from mangum import Mangum

        from functions.inference.app import create_app

        # "off", because Mangum runs the ASGI lifespan on every invocation: anything loaded there would
        # be loaded again for each request.
        started: Handler = Mangum(create_app(self._service, self._log), lifespan="off")
        return started


def _is_http(event: Event) -> bool:
    if event.get("version") != "2.0" or not isinstance(event.get("requestContext"), dict):
        return False
    http = event["requestContext"].get("http")
    return (
        isinstance(http, dict)
        and isinstance(http.get("method"), str)
        and isinstance(http.get("path"), str)
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
