"""``functions.inference.service``: the limits of what goes through, in and out."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from onnx import helper

from functions.inference.limits import Limits
from functions.inference.predictor import BadInputError, Predictor
from functions.inference.served import Unreleased
from functions.inference.service import ModelService
from functions.protocol.errors import TooLargeError
from model_store.contract.tensors import TensorSpec
from tests.unit.functions.conftest import lay_out, onnx_model

if TYPE_CHECKING:
    from pathlib import Path

    from tests.unit.functions.conftest import Layer


def request_of(rows: int, **rest: Any) -> bytes:
    x = {"name": "x", "datatype": "FP32", "shape": [rows, 4], "data": [0] * 4 * rows}
    return json.dumps({"inputs": [x], **rest}, separators=(",", ":")).encode()


class Counting:
    """A session that counts its runs."""

    def __init__(self, session: Any) -> None:
        self._session = session
        self.runs = 0

    def run(self, *given: Any) -> Any:
        self.runs += 1
        return self._session.run(*given)


def service_of(layer: Layer, **limits: Any) -> ModelService:
    return ModelService(layer.load(), Limits(**limits))


@pytest.mark.parametrize("as_text", [False, True])
def test_a_body_of_exactly_the_limit_goes_through_and_one_byte_more_does_not(
    linear_layer: Layer, as_text: bool
) -> None:
    body = request_of(1, id="\u20ac")
    service = service_of(linear_layer, max_payload_bytes=len(body) + 400)
    body += b" " * 400
    sent = body.decode() if as_text else body
    assert json.loads(service.infer(sent, "digits").body)["model_version"] == "2"
    service = service_of(linear_layer, max_payload_bytes=len(body) - 1)
    with pytest.raises(TooLargeError, match=f"has {len(body)} bytes, and at most {len(body) - 1} go"):
        service.infer(sent, "digits")


def test_an_answer_that_lambda_could_not_carry_is_refused_with_what_to_do(linear_layer: Layer) -> None:
    service = service_of(linear_layer, max_payload_bytes=1_000_000)
    body = request_of(90_000)
    assert len(body) < 1_000_000
    with pytest.raises(TooLargeError, match="send fewer rows at once or ask for fewer `outputs`"):
        service.infer(body, "digits")
    smaller = request_of(90_000, outputs=[{"name": "label"}])
    assert len(json.loads(service.infer(smaller, "digits").body)) == 3


def test_a_binary_answer_is_measured_as_the_base64_it_travels_as(linear_layer: Layer) -> None:
    body = request_of(100, outputs=[{"name": "scores", "parameters": {"binary_data": True}}])
    answer = service_of(linear_layer, max_payload_bytes=10_000).infer(body, "digits")
    assert answer.json_length is not None
    assert len(answer.body) - answer.json_length == 1200
    carried = -(-len(answer.body) // 3) * 4
    assert service_of(linear_layer, max_payload_bytes=carried).infer(body, "digits").body == answer.body
    with pytest.raises(TooLargeError, match=f"the answer has {carried} bytes"):
        service_of(linear_layer, max_payload_bytes=carried - 1).infer(body, "digits")


def test_more_rows_than_the_catalog_allows_are_refused(linear_layer: Layer) -> None:
    service = service_of(linear_layer, max_batch=3)
    assert service.infer(request_of(3), "digits").is_text
    with pytest.raises(TooLargeError, match="input `x` has 4 rows, and at most 3 go through at once"):
        service.infer(request_of(4), "digits")


def test_a_size_that_the_model_fixes_is_no_number_of_rows(package: Path) -> None:
    specs, out = [TensorSpec("x", "FP32", (9,))], [TensorSpec("y", "FP32", (9,))]
    model = onnx_model([helper.make_node("Neg", ["x"], ["y"])], specs, out)
    layer = lay_out(
        package,
        {"model.onnx": model.SerializeToString()},
        inputs=specs,
        outputs=out,
        golden={"x": np.ones(9, np.float32)},
    )
    x = {"name": "x", "datatype": "FP32", "shape": [9], "data": [1] * 9}
    service = ModelService(layer.load(), Limits(max_batch=2))
    assert service.infer(json.dumps({"inputs": [x]}).encode(), "digits").is_text


def test_the_metadata_say_what_limits_a_request(linear_layer: Layer) -> None:
    service = service_of(linear_layer, max_payload_bytes=4000, max_batch=3, deadline_ms=9000, memory_mb=512)
    parameters = service.metadata("digits")["parameters"]
    assert parameters.pop("digest").startswith("sha256:")
    assert parameters == {
        "max_payload_bytes": 4000,
        "max_binary_bytes": 3000,
        "max_batch": 3,
        "deadline_ms": 9000,
        "memory_mb": 512,
    }


def test_a_model_that_cannot_run_its_golden_sample_fails_when_it_is_primed(package: Path) -> None:
    """Law 5: what is primed before a snapshot fails there, and the version is never published."""
    specs = [TensorSpec("a", "FP32", ("n",)), TensorSpec("b", "FP32", ("m",))]
    out = [TensorSpec("sum", "FP32", ("n",))]
    model = onnx_model([helper.make_node("Add", ["a", "b"], ["sum"])], specs, out)
    layer = lay_out(
        package,
        {"model.onnx": model.SerializeToString()},
        inputs=specs,
        outputs=out,
        golden={"a": np.ones(2, np.float32), "b": np.ones(3, np.float32)},
    )
    with pytest.raises(BadInputError, match="its `Add` step refuses them"):
        ModelService(layer.load()).prime()


def test_priming_runs_the_model_and_an_unreleased_function_has_none(linear_layer: Layer) -> None:
    served = linear_layer.load()
    assert isinstance(served.predictor, Predictor)
    session = Counting(served.predictor._session)
    served.predictor._session = session
    ModelService(served).prime()
    assert session.runs == 1
    ModelService(Unreleased("digits")).prime()
