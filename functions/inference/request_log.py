"""Around every request: one log line, the headers that name the version, and no exception past here.

Plain ASGI, because FastAPI's own catch-all raises again after it has answered, and Mangum would log
that a second time.
"""

from __future__ import annotations

import sys
import time
import traceback
from collections.abc import Callable, Mapping
from typing import Any

import orjson
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from functions.inference.embedded_metrics import embedded_metrics

Write = Callable[[str], object]

INTERNAL_ERROR = orjson.dumps({"error": "the server failed on this request: its log has the details"})


def cut_prefix(path: str) -> str:
    """Drop what stands before the protocol's own path: a stage, or the prefix of an alias's routes.

    >>> cut_prefix("/candidate/v2/models/digits/infer")
    '/v2/models/digits/infer'
    """
    start = f"{path}/".find("/v2/")
    return path[start:] if start > 0 else path


class RequestLog:
    """ASGI middleware. ``labels`` go into every log line, ``headers`` into every answer.

    A log line holds no payload: the route's template instead of the path, and for a failure where it
    happened instead of the exception's words, which may repeat what the caller sent.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        labels: Mapping[str, str],
        headers: Mapping[str, str],
        write: Write | None = None,
    ) -> None:
        self._app = app
        self._labels = dict(labels)
        self._headers = [(name.encode(), value.encode()) for name, value in headers.items()]
        self._write = write or _to_stdout
        self._cold = True

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = time.perf_counter()
        cold, self._cold = self._cold, False
        scope["path"] = cut_prefix(scope["path"])
        status = 0

        async def answer(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message.get("headers", ()), *self._headers]
            await send(message)

        failure: dict[str, Any] = {}
        try:
            await self._app(scope, receive, answer)
        except Exception as error:  # noqa: BLE001 - the last place to turn it into an answer
            failure = _where(error)
            if status == 0:
                await answer(
                    {
                        "type": "http.response.start",
                        "status": 500,
                        "headers": [(b"content-type", b"application/json")],
                    }
                )
                await send({"type": "http.response.body", "body": INTERNAL_ERROR})
        route = getattr(scope.get("route"), "path", "unknown")
        ms = round((time.perf_counter() - started) * 1000, 3)
        line = {
            "request_id": _request_id(scope),
            **self._labels,
            "method": scope["method"],
            "route": route,
            "status": status,
            "ms": ms,
            "cold": cold,
            **failure,
            **embedded_metrics(self._labels, route=route, status=status, ms=ms),
        }
        self._write(orjson.dumps(line).decode() + "\n")


def _to_stdout(line: str) -> None:
    sys.stdout.write(line)
    sys.stdout.flush()


def _where(error: Exception) -> dict[str, Any]:
    kind = type(error)
    return {
        "failure": f"{kind.__module__}.{kind.__qualname__}",
        "trace": "".join(traceback.format_tb(error.__traceback__)),
    }


def _request_id(scope: Scope) -> str:
    """The gateway's id, which the caller sees too; Lambda's own where no gateway was in between."""
    event = scope.get("aws.event") or {}
    gateway = (event.get("requestContext") or {}).get("requestId")
    return str(gateway or getattr(scope.get("aws.context"), "aws_request_id", None) or "unknown")
