"""One log line per request, whichever way it took, and no payload in it.

The route's template stands for the path, and for a failure the place where it happened instead of the
exception's words, which may repeat what the caller sent.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import orjson

from functions.inference.embedded_metrics import embedded_metrics
from functions.protocol.trace import VARIABLE, trace_id

if TYPE_CHECKING:
    from functions.protocol.encoded import Work

Write = Callable[[str], object]

INTERNAL_ERROR = orjson.dumps({"error": "the server failed on this request: its log has the details"})


def cut_prefix(path: str) -> str:
    """Drop what stands before the protocol's own path: a stage, or the prefix of an alias's routes.

    >>> cut_prefix("/candidate/v2/models/digits/infer")
    '/v2/models/digits/infer'
    """
    if path.startswith("/v2/"):
        return path
    start = f"{path}/".find("/v2/")
    return path[start:] if start > 0 else path


class RequestLog:
    """Writes the lines. ``labels`` go into every one; the first says that the environment was cold."""

    def __init__(self, labels: Mapping[str, str], write: Write | None = None) -> None:
        self._labels = dict(labels)
        self._write = write or _to_stdout
        self._cold = True

    def again(self) -> None:
        """Call the next request cold too: a restored snapshot is a new environment."""
        self._cold = True

    @property
    def labels(self) -> Mapping[str, str]:
        """What stands in every line."""
        return self._labels

    def aside(self, fields: Mapping[str, Any]) -> None:
        """Write a line of its own kind: of something that was no caller's request."""
        self._write(orjson.dumps({**self._labels, **fields}, option=orjson.OPT_APPEND_NEWLINE).decode())

    def line(
        self,
        *,
        request_id: object,
        method: str,
        route: str,
        status: int,
        started: float,
        error: Exception | None = None,
        work: Work | None = None,
        alias: str | None = None,
    ) -> None:
        """Write what became of a request that began at ``started`` (``time.perf_counter``).

        ``error`` is what nobody expected; a refusal is told by its status. ``work`` is what the model did for
        it, and ``alias`` the one that led here, if any did.
        """
        ms = round((time.perf_counter() - started) * 1000, 3)
        line = {
            "request_id": request_id or "unknown",
            **self._labels,
            "method": method,
            "route": route,
            "status": status,
            "ms": ms,
            "cold": self._cold,
        }
        if alias is not None:
            line["alias"] = alias
        if (trace := trace_id(os.environ.get(VARIABLE))) is not None:
            line["trace_id"] = trace
        embedded_metrics(line, self._labels, cold=self._cold, work=work)
        if error is not None:
            line |= _where(error)
        self._cold = False
        self._write(orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE).decode())


def request_id(event: Mapping[str, Any] | None, context: object) -> object:
    """The gateway's id, which the caller sees too; Lambda's own where no gateway was in between."""
    gateway = ((event or {}).get("requestContext") or {}).get("requestId")
    return gateway or getattr(context, "aws_request_id", None)


def alias_of(context: object) -> str | None:
    """The alias through which Lambda was asked; ``None`` where it was asked for a version, or for nothing.

    Source: AWS Lambda developer guide, "Lambda context object": the ARN is the one of the invocation.
    """
    return _alias_in(getattr(context, "invoked_function_arn", None))


@lru_cache(maxsize=16)
def _alias_in(arn: str | None) -> str | None:
    parts = (arn or "").split(":")
    return parts[7] if len(parts) == 8 and not parts[7].isdigit() and parts[7] != "$LATEST" else None


def _to_stdout(line: str) -> None:
    sys.stdout.write(line)
    sys.stdout.flush()


def _where(error: Exception) -> dict[str, Any]:
    import traceback  # milliseconds that only a failure has to pay

    kind = type(error)
    return {
        "failure": f"{kind.__module__}.{kind.__qualname__}",
        "trace": "".join(traceback.format_tb(error.__traceback__)),
    }
