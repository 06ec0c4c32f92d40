"""``functions.endpoint.rpc``: from messages to requests and back. Calls go through a real process elsewhere."""

from __future__ import annotations

import struct
from typing import Any, cast

import numpy as np
import pytest

from functions.endpoint.batcher import Batcher
from functions.endpoint.messages import ModelInferRequest
from functions.endpoint.rpc import request_from, response_of
from functions.endpoint.service import EndpointService
from functions.inference.limits import Limits
from functions.protocol.errors import BadRequestError
from functions.protocol.requests import InferRequest
from tests.unit.functions.conftest import SAMPLES, Layer
from tests.unit.pictures import digit

FIELDS = {
    "BOOL": "bool_contents", "BYTES": "bytes_contents", "FP32": "fp32_contents", "FP64": "fp64_contents",
    "INT8": "int_contents", "INT16": "int_contents", "INT32": "int_contents", "INT64": "int64_contents",
    "UINT8": "uint_contents", "UINT16": "uint_contents", "UINT32": "uint_contents",
    "UINT64": "uint64_contents",
}  # fmt: skip


def service_of(layer: Layer) -> EndpointService:
    # Reading and writing messages puts nothing into the queue.
    return EndpointService(layer.load(), Limits(), cast("Batcher", None))


@pytest.fixture
def linear(linear_layer: Layer) -> EndpointService:
    return service_of(linear_layer)


def message(shape: list[int], *, datatype: str = "FP32", raw: list[bytes] | None = None, **rest: Any) -> Any:
    request = ModelInferRequest(model_name="digits", **rest)
    request.inputs.add(name="x", datatype=datatype, shape=shape)
    request.raw_input_contents.extend(raw or [])
    return request


def test_raw_and_typed_contents_are_the_same_request(linear: EndpointService) -> None:
    array = np.arange(8, dtype=np.float32).reshape(2, 4)
    raw = request_from(message([2, 4], raw=[array.tobytes()], id="a"), linear)
    typed = message([2, 4])
    typed.inputs[0].contents.fp32_contents.extend(array.reshape(-1).tolist())
    np.testing.assert_array_equal(raw.inputs["x"], array)
    np.testing.assert_array_equal(request_from(typed, linear).inputs["x"], array)
    assert (raw.id, raw.outputs) == ("a", ("scores", "label"))


def test_every_datatype_but_fp16_has_typed_contents(every_datatype_layer: Layer) -> None:
    service = service_of(every_datatype_layer)
    request = ModelInferRequest(model_name="digits")
    for spec in service.loaded.signature.inputs.values():
        tensor = request.inputs.add(name=spec.name, datatype=spec.datatype, shape=[1, 2])
        if spec.datatype in FIELDS:
            values = SAMPLES[spec.datatype]
            encoded = [value.encode() for value in values] if spec.datatype == "BYTES" else values
            getattr(tensor.contents, FIELDS[spec.datatype]).extend(encoded)
    with pytest.raises(BadRequestError, match=r"`in_fp16`.*raw_input_contents"):
        request_from(request, service)
    for tensor in list(request.inputs):
        if tensor.datatype == "FP16":
            request.inputs.remove(tensor)
    with pytest.raises(BadRequestError, match="input `in_fp16` is missing"):
        request_from(request, service)


def test_files_are_any_bytes_in_either_kind_of_contents(picture_layer: Layer) -> None:
    service = service_of(picture_layer)
    file = digit(3, "JPEG")
    typed = ModelInferRequest(model_name="digits")
    typed.inputs.add(name="file", datatype="BYTES", shape=[1]).contents.bytes_contents.append(file)
    raw = ModelInferRequest(model_name="digits")
    raw.inputs.add(name="file", datatype="BYTES", shape=[1])
    raw.raw_input_contents.append(struct.pack("<I", len(file)) + file)
    for request in (typed, raw):
        read = request_from(request, service)
        assert service.loaded.predictor(read.inputs, ["digit"])["digit"].tolist() == ["three"]


@pytest.mark.parametrize(
    ("made", "words"),
    [
        (message([1, 4], raw=[b"\0" * 15]), "16 bytes"),
        (message([1, 4], raw=[b"\0" * 16, b"\0"]), "1 inputs and 2 pieces"),
        (message([1, 5], raw=[b"\0" * 20]), r"\[1, 5\]"),
        (message([-1, 4], raw=[b"\0" * 16]), "from 0 up"),
        (message([1, 4], datatype="FP64", raw=[b"\0" * 32]), "FP64"),
        (message([1, 4]), "4 elements"),
        (message([1, 4], datatype="NONSENSE"), "NONSENSE"),
        (ModelInferRequest(model_name="digits"), "`inputs` is empty"),
    ],
)
def test_what_is_wrong_is_said_as_over_http(made: Any, words: str, linear: EndpointService) -> None:
    with pytest.raises(BadRequestError, match=words):
        request_from(made, linear)


def test_answers_carry_their_outputs_raw(linear: EndpointService) -> None:
    request = InferRequest({}, ("scores",), "b")
    array = np.array([[1.5, np.nan, 3]], np.float32)
    response = response_of(linear, request, {"scores": array})
    assert (response.model_name, response.model_version, response.id) == ("digits", "2", "b")
    assert (response.outputs[0].datatype, list(response.outputs[0].shape)) == ("FP32", [1, 3])
    np.testing.assert_array_equal(np.frombuffer(response.raw_output_contents[0], np.float32), array[0])
