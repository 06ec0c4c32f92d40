"""Give ministack a service that it does not have.

Stock: ``Unsupported service``. A service is a module with ``handle_request``; ministack finds it by the
service name of a request's signature, or by what ``X-Amz-Target`` begins with.
"""

from __future__ import annotations

import json
import sys
import types
import uuid
from collections.abc import Awaitable, Callable
from typing import Any

from ministack import app
from ministack.core import router
from ministack.core.responses import get_account_id, get_region

Answer = tuple[int, dict[str, str], bytes]
Handle = Callable[[str, str, dict[str, str], bytes, dict[str, Any]], Awaitable[Answer]]

_JSON = {"Content-Type": "application/x-amz-json-1.1"}


class RefusedError(Exception):
    """What a service says no with: AWS's name for it, its sentence, its status."""

    def __init__(self, code: str, message: str, status: int = 400, **more: Any) -> None:
        super().__init__(message)
        self.code = code
        self.status = status
        self.more = more


def register(name: str, *, targets: list[str], handle: Handle, reset: Callable[[], None]) -> None:
    """Let requests for ``name`` reach ``handle``; ``reset`` forgets everything. Nothing is kept over a
    stop."""
    module = types.ModuleType(f"ministack.services.{name.replace('-', '_')}")
    found: Any = module
    found.handle_request = handle
    found.reset = reset
    found.get_state = dict
    found.load_persisted_state = lambda _: None
    key = name.replace("-", "_")
    sys.modules[module.__name__] = module
    app.SERVICE_REGISTRY[name] = {"module": key}
    app.SERVICE_HANDLERS[name] = app._lazy_handler(key)
    router.SERVICE_PATTERNS[name] = {"target_prefixes": targets, "host_patterns": []}


def answer(document: dict[str, Any]) -> Answer:
    """A JSON answer of AWS's JSON protocol."""
    return 200, {**_JSON, "x-amzn-requestid": str(uuid.uuid4())}, json.dumps(document, default=str).encode()


def refusal(error: RefusedError) -> Answer:
    """The same for an error: its name stands in a header for one protocol and in the body for the other."""
    document = {"__type": error.code, "message": str(error), "Message": str(error), **error.more}
    return error.status, {**_JSON, "x-amzn-errortype": error.code}, json.dumps(document).encode()


def arn(service: str, resource: str) -> str:
    """The ARN of something of the account and region that is served at the moment."""
    return f"arn:aws:{service}:{get_region()}:{get_account_id()}:{resource}"
