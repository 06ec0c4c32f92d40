"""The doors through which a test or a demo changes the embedded cloud: ``bad-day`` and ``lost-region``.

Both stand below ``/_switchyard/`` and are no part of AWS. They stand in front of the cloud's own application,
speak JSON and are reachable, like everything else here, on 127.0.0.1 only.
"""

from __future__ import annotations

import dataclasses
import json
import re
from typing import Any

from ministack import app
from ministack.core.responses import get_account_id

from local_cloud.extension import bad_day, faults, regions

PATH = "/_switchyard/bad-day"
LOST = "/_switchyard/lost-region"

_CREDENTIAL = re.compile(r"Credential=([^/,\s]+)/")
_SIGNED_FOR = re.compile(rb"Credential=[^/,\s]+/\d+/([^/]+)/")
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
    if scope["path"] not in (PATH, LOST):
        if regions.is_lost(account_of(scope), _region_of(scope), scope["path"]):
            await _reply(send, 503, {"message": "Service Unavailable"})
            return
        await faults.serve(_stock_app, scope, receive, send, account=account_of(scope))
        return
    answer = _answer if scope["path"] == PATH else _lose
    await _reply(send, *answer(scope["method"], account_of(scope), await _body(receive)))


def _region_of(scope: dict[str, Any]) -> str:
    """The region that a request is signed for; empty if it is not signed."""
    found = _SIGNED_FOR.search(dict(scope.get("headers") or []).get(b"authorization", b""))
    return found[1].decode() if found else ""


def _lose(method: str, account: str, body: bytes) -> tuple[int, dict[str, Any]]:
    try:
        names = (
            regions.lose(account, json.loads(body or b"{}")) if method == "POST" else regions.lost(account)
        )
    except ValueError as error:
        return 400, {"message": str(error)}
    return 200, {"lost": names}


async def _reply(send: faults.Send, status: int, document: dict[str, Any]) -> None:
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
