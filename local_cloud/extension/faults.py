"""Calls that are throttled, that fail, or whose answer is lost after their effect: as often as the day wants.

Stock: every call is answered.
AWS: "Lambda quotas" and the common errors of each API; how often is for ``bad_day`` to say. Which service a
call is for is read from its signature. Invocations are not met here but where they run, so that those which
come through an API or a state machine are met too.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Awaitable, Callable
from typing import Any

from ministack.services import lambda_svc

from local_cloud.extension import bad_day

Message = dict[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[dict[str, Any], Receive, Send], Awaitable[None]]

_SERVICE = re.compile(rb"Credential=[^/,\s]+/\d+/[^/]+/([^/]+)/aws4_request")
_INVOCATION = re.compile(r"/(functions|endpoints)/[^/]+/(async-|response-streaming-)?invocations$")


def service_of(scope: dict[str, Any]) -> str:
    """Return the service that a request is signed for; empty if it is not signed."""
    found = _SERVICE.search(dict(scope.get("headers") or []).get(b"authorization", b""))
    return found[1].decode() if found else ""


async def serve(
    application: Application, scope: dict[str, Any], receive: Receive, send: Send, *, account: str
) -> None:
    """Let ``application`` answer the request, or not."""
    today, service = bad_day.today_of(account), service_of(scope)
    if service not in today.services.split(",") or _INVOCATION.search(scope["path"]):
        await application(scope, receive, send)
        return
    if _happens(today.throttle_rate):
        await _refuse(send, service, throttled=True)
    elif _happens(today.error_rate):
        await _refuse(send, service, throttled=False)
    elif _happens(today.lost_rate):
        await application(scope, receive, _nowhere)
        await _refuse(send, service, throttled=False)
    else:
        await application(scope, receive, send)


def _happens(rate: float) -> bool:
    return rate > 0 and random.random() < rate  # noqa: S311  (weather, not secrets)


async def _nowhere(_: Message) -> None:
    """Where lost answers go."""


async def _refuse(send: Send, service: str, *, throttled: bool) -> None:
    if service == "s3":
        code, status = ("SlowDown", 503) if throttled else ("InternalError", 500)
        body, kind = f"<Error><Code>{code}</Code><Message>bad day</Message></Error>", "application/xml"
    else:
        code, status = _json_refusal(service, throttled=throttled)
        body, kind = json.dumps({"__type": code, "message": "bad day"}), "application/json"
    headers = [(b"content-type", kind.encode()), (b"x-amzn-errortype", code.encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body.encode()})


def _json_refusal(service: str, *, throttled: bool) -> tuple[str, int]:
    if service == "lambda":
        return ("TooManyRequestsException", 429) if throttled else ("ServiceException", 500)
    return ("ThrottlingException", 400) if throttled else ("InternalFailure", 500)


def _throttled_now_and_then(stock: Callable[..., Any]) -> Callable[..., Any]:
    def execute(func: dict[str, Any], event: Any) -> Any:
        if _happens(bad_day.today().invoke_throttle_rate):
            reason = "ConcurrentInvocationLimitExceeded"
            return lambda_svc._throttle_response(reason, "Rate Exceeded: bad day")
        return stock(func, event)

    return execute


def install() -> None:
    """Throttle invocations; before ``metrics``, which counts them. The rest is called by ``control``."""
    lambda_svc._execute_function = _throttled_now_and_then(lambda_svc._execute_function)
