"""HTTP calls as API Gateway hands them to a Lambda function, for those who ask a function directly.

The release controller checks a version before any route leads to it, and the front asks each model
whether it is ready. Both send what API Gateway would send, so a function has one way in.

Source of the format: API Gateway developer guide, "Create AWS Lambda proxy integrations for HTTP APIs",
payload format version 2.0.
"""

from __future__ import annotations

import base64
import binascii
import json
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from model_store.contract.errors import SwitchyardError

_TEXT_TYPES = frozenset({"application/json", "application/xml", "application/javascript"})


class NotAnHttpAnswerError(SwitchyardError):
    """A function returned something that API Gateway could not turn into an HTTP answer."""


def http_event(
    method: str, path: str, body: bytes | None = None, *, content_type: str = "application/json"
) -> dict[str, Any]:
    """Build the event of one HTTP call.

    Like API Gateway, a body of a textual content type travels as text and every other one as base64.
    """
    path, _, query = path.partition("?")
    now = datetime.now(UTC)
    event: dict[str, Any] = {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": path,
        "rawQueryString": query,
        "headers": {"accept": "application/json", "host": "switchyard"},
        "requestContext": {
            "apiId": "direct",
            "domainName": "switchyard",
            "http": {
                "method": method,
                "path": path,
                "protocol": "HTTP/1.1",
                "sourceIp": "127.0.0.1",
                "userAgent": "switchyard",
            },
            "requestId": str(uuid.uuid4()),
            "routeKey": "$default",
            "stage": "$default",
            "time": now.strftime("%d/%b/%Y:%H:%M:%S +0000"),
            "timeEpoch": int(now.timestamp() * 1000),
        },
        "isBase64Encoded": False,
    }
    if body is not None:
        event["headers"] |= {"content-type": content_type, "content-length": str(len(body))}
        event["body"], event["isBase64Encoded"] = _carried(body, content_type)
    return event


def read_answer(answer: object) -> tuple[int, dict[str, str], bytes]:
    """Take a function's return value apart: status, headers with lower-case names, body.

    Raises ``NotAnHttpAnswerError`` for anything else, above all for what Lambda returns when a function
    failed (``errorType``, ``errorMessage``).
    """
    if not isinstance(answer, Mapping) or type(answer.get("statusCode")) is not int:
        raise NotAnHttpAnswerError(f"the function did not answer an HTTP call: {_failure(answer)}")
    body = answer.get("body") or ""
    headers = answer.get("headers") or {}
    if not isinstance(body, str) or not isinstance(headers, Mapping):
        raise NotAnHttpAnswerError("the function's answer has a body or headers of the wrong type")
    try:
        content = base64.b64decode(body, validate=True) if answer.get("isBase64Encoded") else body.encode()
    except (binascii.Error, ValueError) as error:
        raise NotAnHttpAnswerError("the function's answer says it is base64 and is not") from error
    return answer["statusCode"], {str(k).lower(): str(v) for k, v in headers.items()}, content


def _carried(body: bytes, content_type: str) -> tuple[str, bool]:
    kind = content_type.partition(";")[0].strip().lower()
    if kind.startswith("text/") or kind in _TEXT_TYPES:
        try:
            return body.decode(), False
        except UnicodeDecodeError:
            pass
    return base64.b64encode(body).decode("ascii"), True


def _failure(answer: object) -> str:
    if isinstance(answer, Mapping) and "errorType" in answer:
        return f"{answer['errorType']}: {str(answer.get('errorMessage', ''))[:500]}"
    return json.dumps(answer, default=str)[:200]
