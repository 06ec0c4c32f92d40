"""``functions.protocol.trace``: one id, as X-Ray and as the W3C write it."""

from __future__ import annotations

import pytest

from functions.protocol.trace import Span, sampled, trace_id, traceparent

ROOT = "1-67891233-abcdef012345678912345678"
W3C = "67891233abcdef012345678912345678"
PARENT = "463ac35c9f6413ad"


@pytest.mark.parametrize(
    ("header", "parent"),
    [
        (f"Root={ROOT};Parent={PARENT};Sampled=1", f"00-{W3C}-{PARENT}-01"),
        (f"Root={ROOT};Parent={PARENT};Sampled=0;Lineage=1:2:3", f"00-{W3C}-{PARENT}-00"),
        (f"Self=1-1-1;Root={ROOT};Parent={PARENT}", f"00-{W3C}-{PARENT}-00"),
    ],
)
def test_the_header_of_xray_is_said_as_the_w3c_has_it(header: str, parent: str) -> None:
    assert trace_id(header) == ROOT
    assert traceparent(header) == parent


@pytest.mark.parametrize(
    "header", [None, "", "Root=1-6789", f"Root={ROOT}x;Parent={PARENT}", "no header at all"]
)
def test_what_is_no_such_header_has_no_trace(header: str | None) -> None:
    assert trace_id(header) is None
    assert traceparent(header) is None


def test_without_a_parent_there_is_an_id_and_nothing_to_continue() -> None:
    assert trace_id(f"Root={ROOT}") == ROOT
    assert traceparent(f"Root={ROOT}") is None


@pytest.mark.parametrize("name", ["traceparent", "x-amzn-sagemaker-custom-attributes"])
def test_an_endpoint_reads_it_from_either_header_if_it_was_drawn(name: str) -> None:
    prefix = "" if name == "traceparent" else "a=b;traceparent="

    def headers(flags: str) -> list[tuple[bytes, bytes]]:
        return [(b"content-type", b"x"), (name.encode(), f"{prefix}00-{W3C}-{PARENT}-{flags}".encode())]

    assert sampled(headers("01")) == Span(ROOT, PARENT)
    assert sampled(headers("00")) is None
    assert sampled([]) is None
    assert sampled([(name.encode(), b"\xff\xfe")]) is None
