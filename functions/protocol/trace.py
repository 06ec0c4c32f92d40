"""One request's way through API, function and endpoint: X-Ray's header and the W3C's, and one id for both.

Lambda draws which requests are traced, where tracing is on, and tells each invocation in an environment
variable: ``Root=1-67891233-abcdef012345678912345678;Parent=…;Sampled=1``. The endpoint is told in the W3C's
``traceparent``, which OpenTelemetry reads too; the root's two parts, joined, are its trace id.

Sources: X-Ray developer guide, "Tracing header" and "W3C trace context"; Lambda developer guide, "Defined
runtime environment variables"; W3C recommendation "Trace Context", level 1.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

VARIABLE = "_X_AMZN_TRACE_ID"
TRACEPARENT = "traceparent"
ATTRIBUTES = "x-amzn-sagemaker-custom-attributes"
"""The one header of a caller that SageMaker hands to the container."""

CALL = "x-switchyard-call"
EXPLAIN_CALL = "explain"
"""Among the attributes: what is asked of a container, where SageMaker has one path for all."""

_XRAY = re.compile(r"(?:^|;)Root=1-([0-9a-f]{8})-([0-9a-f]{24})(?:;|$)")
_PARENT = re.compile(r"(?:^|;)Parent=([0-9a-f]{16})(?:;|$)")
_W3C = re.compile(rb"(?:^|;)\s*(?:traceparent=)?00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(?:;|$)")
_NAMES = (TRACEPARENT.encode(), ATTRIBUTES.encode())


class Span(NamedTuple):
    """Where an endpoint's part belongs: ``trace_id`` as X-Ray writes it, and who asked."""

    trace_id: str
    parent: str


def trace_id(header: str | None) -> str | None:
    """The root of X-Ray's header, by which the console finds a trace; ``None`` if there is none."""
    found = _XRAY.search(header or "")
    return f"1-{found[1]}-{found[2]}" if found else None


def traceparent(header: str | None) -> str | None:
    """The same as the W3C's header; ``None`` where a part is missing."""
    root, parent = _XRAY.search(header or ""), _PARENT.search(header or "")
    if root is None or parent is None:
        return None
    return f"00-{root[1]}{root[2]}-{parent[1]}-{'01' if 'Sampled=1' in (header or '') else '00'}"


def sampled(headers: Iterable[tuple[bytes, bytes]]) -> Span | None:
    """What a request's headers say of its trace, if it is one of those that are traced."""
    for name, value in headers:
        if name in _NAMES and (found := _W3C.search(value)) and int(found[3], 16) & 1:
            root = found[1].decode()
            return Span(f"1-{root[:8]}-{root[8:]}", found[2].decode())
    return None
