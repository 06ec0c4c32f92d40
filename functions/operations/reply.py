"""Answering CloudFormation: the one way a Lambda-backed custom resource reports how it went.

Source: AWS CloudFormation user guide, "Custom resource response objects": a PUT of JSON to the
pre-signed ``ResponseURL``, at most 4,096 bytes, without a content type.
"""

from __future__ import annotations

import json
import urllib.request
from typing import Any

MAX_REASON = 1_500
_ATTEMPTS = 3
_TIMEOUT_S = 10


def success(event: dict[str, Any], *, physical_id: str, data: dict[str, str]) -> dict[str, Any]:
    """The answer that lets the stack go on; ``data`` can be read with ``Fn::GetAtt``."""
    return {**_identity(event), "Status": "SUCCESS", "PhysicalResourceId": physical_id, "Data": data}


def failure(event: dict[str, Any], *, physical_id: str, reason: str) -> dict[str, Any]:
    """The answer that stops the stack; people read ``reason`` in its events."""
    return {
        **_identity(event),
        "Status": "FAILED",
        "PhysicalResourceId": physical_id,
        "Reason": reason[:MAX_REASON],
    }


def send(event: dict[str, Any], answer: dict[str, Any]) -> None:
    """Deliver ``answer``; repeat a few times, since a lost answer blocks the stack until its timeout."""
    body = json.dumps(answer).encode()
    request = urllib.request.Request(  # noqa: S310  # the address is CloudFormation's own
        event["ResponseURL"], data=body, method="PUT", headers={"Content-Type": ""}
    )
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            with urllib.request.urlopen(request, timeout=_TIMEOUT_S):  # noqa: S310
                return
        except OSError:
            if attempt == _ATTEMPTS:
                raise


def _identity(event: dict[str, Any]) -> dict[str, Any]:
    return {name: event[name] for name in ("StackId", "RequestId", "LogicalResourceId")}
