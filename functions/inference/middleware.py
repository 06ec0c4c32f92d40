"""Around every request that goes through the framework: its log line, the headers that name the version.

Plain ASGI, because FastAPI's own catch-all raises again after it has answered, and Mangum would log
that a second time.
"""

from __future__ import annotations

import time
from collections.abc import Mapping

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from functions.inference.request_log import INTERNAL_ERROR, RequestLog, alias_of, cut_prefix, request_id


class Around:
    """ASGI middleware. ``headers`` go into every answer; no exception gets past here."""

    def __init__(self, app: ASGIApp, *, log: RequestLog, headers: Mapping[str, str]) -> None:
        self._app = app
        self._log = log
        self._headers = [(name.encode(), value.encode()) for name, value in headers.items()]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = time.perf_counter()
        _cut(scope)
        status = 0

        async def answer(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message.get("headers", ()), *self._headers]
            await send(message)

        failure: Exception | None = None
        try:
            await self._app(scope, receive, answer)
        except Exception as error:  # noqa: BLE001 - the last place to turn it into an answer
            failure = error
            if status == 0:
                await answer(
                    {
                        "type": "http.response.start",
                        "status": 500,
                        "headers": [(b"content-type", b"application/json")],
                    }
                )
                await send({"type": "http.response.body", "body": INTERNAL_ERROR})
        self._log.line(
            request_id=request_id(scope.get("aws.event"), scope.get("aws.context")),
            method=scope["method"],
            route=getattr(scope.get("route"), "path", "unknown"),
            status=status,
            started=started,
            error=failure,
            alias=alias_of(scope.get("aws.context")),
        )


def _cut(scope: Scope) -> None:
    """Take the prefix off the path, and tell the framework, whose pages write links with it."""
    path = scope["path"]
    scope["path"] = cut_prefix(path)
    scope["root_path"] = path[: len(path) - len(scope["path"])]
