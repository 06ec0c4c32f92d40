"""``functions.inference.quick``: every path a function answers is known when it starts."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

import pytest

from functions.inference.quick import body_of, quick_routes, remaining_s
from functions.protocol.errors import BadRequestError

if TYPE_CHECKING:
    from tests.unit.functions.conftest import Caller


def test_a_released_function_answers_every_call_of_the_protocol(digits: Caller) -> None:
    model = ["", "/ready"]
    bases = ["/v2/models/digits", "/v2/models/digits/versions/2"]
    assert set(quick_routes(digits.service)) == {
        *(("GET", path) for path in ("/v2", "/v2/health/live", "/v2/health/ready")),
        *(("GET", base + rest) for base in bases for rest in model),
        *(("POST", f"{base}/infer") for base in bases),
    }


def test_a_function_without_a_release_answers_for_the_server_alone(unreleased: Caller) -> None:
    assert set(quick_routes(unreleased.service)) == {("GET", "/v2"), ("GET", "/v2/health/live")}


def test_a_text_body_stays_text_and_a_base64_body_becomes_bytes() -> None:
    assert body_of({"body": "é", "isBase64Encoded": False}) == "é"
    assert body_of({"body": base64.b64encode(b"\x00\xff").decode(), "isBase64Encoded": True}) == b"\x00\xff"
    assert body_of({}) == ""
    assert body_of({"body": None, "isBase64Encoded": True}) == b""


@pytest.mark.parametrize("body", ["abc", "ab=c", "a b=", "é===", "YQ==YQ=="])
def test_a_body_that_is_not_base64_is_refused(body: str) -> None:
    with pytest.raises(BadRequestError, match="is not what its `isBase64Encoded` says"):
        body_of({"body": body, "isBase64Encoded": True})


def test_nobody_stops_a_call_that_comes_without_a_context() -> None:
    assert remaining_s(None) is None


class Context:
    def get_remaining_time_in_millis(self) -> int:
        return 1500


def test_lambda_says_how_long_it_waits() -> None:
    assert remaining_s(Context()) == 1.5
