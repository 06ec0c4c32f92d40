"""``functions.inference.service``: the limits of what goes through, in and out."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from functions.inference.service import ModelService
from functions.protocol.errors import TooLargeError

if TYPE_CHECKING:
    from tests.unit.functions.conftest import Layer


def request_of(rows: int) -> bytes:
    x = {"name": "x", "datatype": "FP32", "shape": [rows, 4], "data": [0] * 4 * rows}
    return json.dumps({"inputs": [x]}, separators=(",", ":")).encode()


def test_a_body_of_exactly_the_limit_goes_through_and_one_byte_more_does_not(linear_layer: Layer) -> None:
    body = request_of(1)
    service = ModelService(linear_layer.load(), max_body_bytes=len(body))
    assert json.loads(service.infer(body, "digits"))["model_version"] == "2"
    with pytest.raises(
        TooLargeError, match=f"the body has {len(body) + 1} bytes, and at most {len(body)} go"
    ):
        service.infer(body + b" ", "digits")


def test_an_answer_that_lambda_could_not_carry_is_refused_with_what_to_do(linear_layer: Layer) -> None:
    service = ModelService(linear_layer.load(), max_body_bytes=1_000_000)
    body = request_of(90_000)
    assert len(body) < 1_000_000
    with pytest.raises(TooLargeError, match="send fewer rows at once or ask for fewer `outputs`"):
        service.infer(body, "digits")
    smaller = json.loads(body) | {"outputs": [{"name": "label"}]}
    assert len(json.loads(service.infer(json.dumps(smaller, separators=(",", ":")).encode(), "digits"))) == 3
