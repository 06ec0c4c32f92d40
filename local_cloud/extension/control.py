"""The door through which a test or a demo changes the embedded cloud's behaviour: ``/_switchyard/bad-day``.

No part of AWS. It stands in front of the cloud's own application, speaks JSON and is reachable, like
everything else here, on 127.0.0.1 only.
"""

from __future__ import annotations

import dataclasses
import json
import re
from typing import Any

from ministack import app
from ministack.core.responses import get_account_id

from local_cloud.extension import bad_day, faults

PATH = "/_switchyard/bad-day"

_CREDENTIAL = re.compile(r"Credential=([^/,\s]+)/")
_ACCOUNT = re.compile(r"\d{12}")


_stock_app = app.app


def account_of(scope: dict[str, Any]) -> str:
    """Return the account that a request is signed for: a key of twelve digits names it, else the default."""
    headers = dict(scope.get("headers") or [])
    found = _CREDENTIAL.search(headers.get(b"authorization", b"").decode("latin-1"))
    key = found[1] if found else headers.get(b"x-switchyard-account", b"").decode("latin-1")
    return key if _ACCOUNT.fullmatch(key) else str(get_account_id())


async def application(scope: dict[str, Any], receive: faults.Receive, send: faults.Send) -> None:
    """Answer requests to the door; hand everything else on, through the day's faults."""
    if scope["type"] != "http":
        await _stock_app(scope, receive, send)
        return
    if scope["path"] != PATH:
        await faults.serve(_stock_app, scope, receive, send, account=account_of(scope))
        return
    status, document = _answer(scope["method"], account_of(scope), await _body(receive))
    headers = [(b"content-type", b"application/json")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": json.dumps(document).encode()})


def _answer(method: str, account: str, body: bytes) -> tuple[int, dict[str, Any]]:
    try:
        if method == "POST":
            settings = bad_day.change(account, json.loads(body or b"{}"))
        elif method == "DELETE":
            settings = bad_day.restore(account)
        else:
            settings = bad_day.today_of(account)
    except ValueError as error:  # JSON that is none, or settings that are none
        return 400, {"message": str(error)}
    return 200, dataclasses.asdict(settings)


async def _body(receive: faults.Receive) -> bytes:
    body = b""
    while True:
        message = await receive()
        body += bytes(message.get("body", b""))
        if not message.get("more_body"):
            return body


def install() -> None:
    """Stand in front of the application."""
    app.app = application
