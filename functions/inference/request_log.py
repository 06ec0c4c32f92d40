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
from model_store.contract.environment import (
    LATENCY_METRIC,
    MODEL_LATENCY_METRIC,
    OVERHEAD_METRIC,
    PAYLOAD_BYTES_METRIC,
    ROWS_METRIC,
)

if TYPE_CHECKING:
    from functions.protocol.encoded import Work

Write = Callable[[str], object]

_MARK = b"\x00"
"""Begins a blank of a form: JSON that orjson writes never has it."""

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
        self._write = _to_stdout if write is None else lambda line: write(line.decode())
        self._cold = True
        self._forms: dict[tuple[object, ...], bytes] = {}

    def again(self) -> None:
        """Call the next request cold too: a restored snapshot is a new environment."""
        self._cold = True

    @property
    def labels(self) -> Mapping[str, str]:
        """What stands in every line."""
        return self._labels

    def aside(self, fields: Mapping[str, Any]) -> None:
        """Write a line of its own kind: of something that was no caller's request."""
        self._write(orjson.dumps({**self._labels, **fields}, option=orjson.OPT_APPEND_NEWLINE))

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
        ms = (time.perf_counter() - started) * 1000
        if work is not None and error is None and not self._cold:
            self._write(self._answered(request_id, method, route, status, ms, work, alias))
            return
        ms = round(ms, 3)
        line: dict[str, Any] = {
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
        self._write(orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE))

    def _answered(
        self, id_: object, method: str, route: str, status: int, ms: float, work: Work, alias: str | None
    ) -> bytes:
        """The line of an answered inference, which is most of them: the same members, from a form.

        All but the numbers is written once for each way in. A test holds both ways to the same line.
        """
        trace = trace_id(os.environ.get(VARIABLE))
        key = (method, route, status, alias, trace is None, work.rows is None)
        form = self._forms.get(key)
        if form is None:
            form = self._forms[key] = self._form(method, route, status, alias, work, traced=trace is not None)
        return form % {
            b"request_id": orjson.dumps(id_ or "unknown"),
            b"ms": ms,
            b"trace_id": trace.encode() if trace else b"",
            b"model_ms": work.model_ms,
            b"overhead_ms": ms - work.model_ms,
            b"bytes": work.request_bytes,
            b"rows": work.rows or 0,
            b"now": time.time() * 1000,
        }

    def _form(
        self, method: str, route: str, status: int, alias: str | None, work: Work, *, traced: bool
    ) -> bytes:
        line: dict[str, Any] = {
            "request_id": _blank("request_id", "b"),
            **self._labels,
            "method": method,
            "route": route,
            "status": status,
            "ms": _blank("ms", ".3f"),
            "cold": False,
        }
        if alias is not None:
            line["alias"] = alias
        if traced:
            line["trace_id"] = orjson.Fragment(b'"' + _MARK + b'(trace_id)b"')
        metrics: dict[str, Any] = {"ms": 0.0, "route": route, "status": status}
        given = frozenset(metrics)
        embedded_metrics(metrics, self._labels, work=work)
        for name, value in metrics.items():
            if name not in given:
                line[name] = _BLANKS.get(name, value)
        if "_aws" in line:
            line["_aws"]["Timestamp"] = _blank("now", "d")
        text = orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE)
        return text.replace(b"%", b"%%").replace(_MARK, b"%")


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


def _to_stdout(line: bytes) -> None:
    sys.stdout.buffer.write(line)
    sys.stdout.flush()


def _blank(name: str, kind: str) -> orjson.Fragment:
    """A place in a form, as ``bytes % {…}`` fills it."""
    return orjson.Fragment(_MARK + f"({name}){kind}".encode())


_BLANKS = {
    LATENCY_METRIC: _blank("ms", ".3f"),
    MODEL_LATENCY_METRIC: _blank("model_ms", ".3f"),
    OVERHEAD_METRIC: _blank("overhead_ms", ".3f"),
    PAYLOAD_BYTES_METRIC: _blank("bytes", "d"),
    ROWS_METRIC: _blank("rows", "d"),
}
"""The metrics that differ from request to request."""


def _where(error: Exception) -> dict[str, Any]:
    import traceback  # milliseconds that only a failure has to pay

    kind = type(error)
    return {
        "failure": f"{kind.__module__}.{kind.__qualname__}",
        "trace": "".join(traceback.format_tb(error.__traceback__)),
    }
