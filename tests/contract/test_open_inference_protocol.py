"""Law 7, to the letter: what the protocol's text says a server must do, sentence by sentence.

Sources, quoted in the docstrings: github.com/kserve/open-inference-protocol,
``specification/protocol/inference_rest.md`` (REST), and github.com/triton-inference-server/server,
``docs/protocol/extension_binary_data.md`` (binary). Every call comes in as API Gateway sends it.
"""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import helper

from functions.protocol.tensors import DTYPES
from model_store.contract import environment
from model_store.contract.tensors import TensorSpec
from tests.unit.functions.conftest import (
    ONNX_TYPES,
    SAMPLES,
    Caller,
    Reply,
    lay_out,
    onnx_model,
)

SIZES = {
    "BOOL": 1, "UINT8": 1, "UINT16": 2, "UINT32": 4, "UINT64": 8,
    "INT8": 1, "INT16": 2, "INT32": 4, "INT64": 8, "FP16": 2, "FP32": 4, "FP64": 8,
}  # fmt: skip
"""The table under "Tensor Data Types"; BYTES is variable."""

MODEL = "/v2/models/mymodel"


@pytest.fixture(autouse=True)
def event_loop() -> Iterator[None]:
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    yield
    asyncio.set_event_loop(None)
    loop.close()


@pytest.fixture(scope="module")
def mymodel(tmp_path_factory: pytest.TempPathFactory) -> Caller:
    """Two inputs of which one is batched, three outputs: sums [n, 2], flags [3] and the batch's size."""
    inputs = [TensorSpec("input0", "UINT32", ("n", 2)), TensorSpec("input1", "BOOL", (3,))]
    outputs = [
        TensorSpec("output0", "UINT32", ("n", 2)),
        TensorSpec("output1", "BOOL", (3,)),
        TensorSpec("size", "INT64", (2,)),
    ]
    nodes = [
        helper.make_node("Add", ["input0", "input0"], ["output0"]),
        helper.make_node("Not", ["input1"], ["output1"]),
        helper.make_node("Shape", ["input0"], ["size"]),
    ]
    layer = lay_out(
        tmp_path_factory.mktemp("layer") / "python" / environment.MODEL_PACKAGE,
        {"model.onnx": onnx_model(nodes, inputs, outputs).SerializeToString()},
        inputs=inputs,
        outputs=outputs,
        golden={"input0": np.zeros((1, 2), np.uint32), "input1": np.zeros(3, np.bool_)},
        model="mymodel",
    )
    return Caller(layer.load())


@pytest.fixture(scope="module")
def echo(tmp_path_factory: pytest.TempPathFactory) -> Caller:
    """One input and one output per datatype, each passed on unchanged."""
    inputs = [TensorSpec(f"in_{name}", name, (f"n_{name}",)) for name in ONNX_TYPES]
    outputs = [TensorSpec(f"out_{name}", name, (f"n_{name}",)) for name in ONNX_TYPES]
    nodes = [helper.make_node("Identity", [i.name], [o.name]) for i, o in zip(inputs, outputs, strict=True)]
    layer = lay_out(
        tmp_path_factory.mktemp("layer") / "python" / environment.MODEL_PACKAGE,
        {"model.onnx": onnx_model(nodes, inputs, outputs).SerializeToString()},
        inputs=inputs,
        outputs=outputs,
        golden={spec.name: np.array(SAMPLES[spec.datatype], DTYPES[spec.datatype]) for spec in inputs},
        model="mymodel",
    )
    return Caller(layer.load())


def input0(**changes: Any) -> dict[str, Any]:
    return {"name": "input0", "shape": [2, 2], "datatype": "UINT32", "data": [1, 2, 4, 5], **changes}


def input1(**changes: Any) -> dict[str, Any]:
    return {"name": "input1", "shape": [3], "datatype": "BOOL", "data": [True, False, True], **changes}


def ask(caller: Caller, *, path: str = f"{MODEL}/infer", **changes: Any) -> Reply:
    return caller.post(path, {"inputs": [input0(), input1()], **changes})


def outputs_of(reply: Reply) -> dict[str, dict[str, Any]]:
    assert reply.status == 200, reply.body
    return {output["name"]: output for output in reply.json["outputs"]}


def assert_refused(reply: Reply, status: int = 400) -> None:
    """What every error object of the protocol is."""
    assert reply.status == status
    assert reply.headers["content-type"] == "application/json"
    assert list(reply.json) == ["error"]
    assert isinstance(reply.json["error"], str)
    assert reply.json["error"]


# Server and model: live, ready, metadata


def test_server_live_answers_whether_the_server_can_respond(mymodel: Caller) -> None:
    """REST: "The server live endpoint returns the liveness probe response for the server"."""
    reply = mymodel.get("/v2/health/live")
    assert (reply.status, reply.json["live"]) == (200, True)


def test_server_ready_answers_with_the_documented_member(mymodel: Caller) -> None:
    """REST: "The server ready endpoint returns the readiness probe response for the server"."""
    reply = mymodel.get("/v2/health/ready")
    assert (reply.status, reply.json["live"]) == (200, True)


@pytest.mark.parametrize("path", [f"{MODEL}/ready", f"{MODEL}/versions/2/ready"])
def test_model_ready_returns_the_probe_along_with_the_name(mymodel: Caller, path: str) -> None:
    """REST: "returns the readiness probe response for the server along with the name of the model"."""
    reply = mymodel.get(path)
    assert (reply.status, reply.json) == (200, {"name": "mymodel", "ready": True})


def test_server_metadata_are_a_200_with_the_three_members(mymodel: Caller) -> None:
    """REST: "A successful server metadata request is indicated by a 200 HTTP status code"."""
    reply = mymodel.get("/v2")
    assert reply.status == 200
    assert isinstance(reply.json["name"], str)
    assert isinstance(reply.json["version"], str)
    assert all(isinstance(extension, str) for extension in reply.json["extensions"])


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
def test_a_failed_server_metadata_request_is_an_error_status_and_object(mymodel: Caller, method: str) -> None:
    """REST: "A failed server metadata request must be indicated by an HTTP error status ... The HTTP body
    must contain the $metadata_server_error_response object".
    """
    event = {"version": "2.0", "requestContext": {"http": {"method": method, "path": "/v2"}}, "headers": {}}
    assert_refused(mymodel.event(event), 405)


@pytest.mark.parametrize("path", [MODEL, f"{MODEL}/versions/2"])
def test_model_metadata_are_a_200_with_every_member(mymodel: Caller, path: str) -> None:
    """REST: "The model name and (optionally) version must be available in the URL"; "Variable-size
    dimensions are specified as -1"; the versions are those "that may be explicitly requested".
    """
    reply = mymodel.get(path)
    assert reply.status == 200
    assert reply.json["name"] == "mymodel"
    assert reply.json["inputs"][0] | {"parameters": None} == {
        "name": "input0",
        "datatype": "UINT32",
        "shape": [-1, 2],
        "parameters": None,
    }
    assert [tensor["name"] for tensor in reply.json["outputs"]] == ["output0", "output1", "size"]
    for version in reply.json["versions"]:
        assert mymodel.get(f"{MODEL}/versions/{version}").status == 200


def test_the_platform_is_the_name_that_the_text_has_for_it(mymodel: Caller) -> None:
    """REST: "The following platform names are allowed: ... onnx_onnxv1"."""
    assert mymodel.get(MODEL).json["platform"] == "onnx_onnxv1"


@pytest.mark.parametrize("path", ["/v2/models/other", f"{MODEL}/versions/9", "/v2/models/other/versions/2"])
def test_a_failed_model_metadata_request_is_an_error_status_and_object(mymodel: Caller, path: str) -> None:
    """REST: "A failed model metadata request must be indicated by an HTTP error status ... The HTTP body must
    contain the $metadata_model_error_response object".
    """
    assert_refused(mymodel.get(path), 404)


# Inference: the request object


def test_a_successful_inference_is_a_200_with_the_response_object(mymodel: Caller) -> None:
    """REST: "A successful inference request is indicated by a 200 HTTP status code. The inference response
    object ... is returned in the HTTP body".
    """
    reply = ask(mymodel)
    assert reply.status == 200
    assert (reply.json["model_name"], reply.json["model_version"]) == ("mymodel", "2")
    for output in reply.json["outputs"]:
        assert {"name", "shape", "datatype", "data"} <= set(output)


@pytest.mark.parametrize("path", [f"{MODEL}/infer", f"{MODEL}/versions/2/infer"])
def test_the_version_in_the_url_is_optional(mymodel: Caller, path: str) -> None:
    """REST: "If a version is not provided the server may choose a version based on its own policies"."""
    assert ask(mymodel, path=path).json["model_version"] == "2"


@pytest.mark.parametrize("id_", ["42", "", "é€😀", "x" * 1000])
def test_an_id_comes_back(mymodel: Caller, id_: str) -> None:
    """REST: "if specified this identifier must be returned in the response"."""
    assert ask(mymodel, id=id_).json["id"] == id_


def test_the_inference_request_object_is_required(mymodel: Caller) -> None:
    """REST: "The inference request object ... is required in the HTTP body of the POST request"."""
    assert_refused(mymodel.post(f"{MODEL}/infer", b""))


@pytest.mark.parametrize("missing", ["name", "shape", "datatype", "data"])
def test_no_member_of_an_input_is_optional_but_its_parameters(mymodel: Caller, missing: str) -> None:
    """REST: $inference_request_input marks "parameters" alone as optional."""
    tensor = {name: value for name, value in input0().items() if name != missing}
    assert_refused(mymodel.post(f"{MODEL}/infer", {"inputs": [tensor, input1()]}))


def test_every_parameter_a_caller_may_send_is_let_through(mymodel: Caller) -> None:
    """REST: parameters are "zero or more name/value pairs", a $string, $number or $boolean each."""
    parameters = {"text": "a", "number": 1.5, "flag": True}
    tensors = [input0(parameters=parameters), input1(parameters={})]
    assert ask(mymodel, inputs=tensors, parameters=parameters).status == 200


def test_a_batched_input_is_the_entire_batch(mymodel: Caller) -> None:
    """REST: "If the input is batched, the shape and data must represent the full shape and contents of the
    entire batch"; "If the output is batched, the shape and data represents the full shape of the entire batch".
    """
    assert_refused(ask(mymodel, inputs=[input0(shape=[1, 2]), input1()]))
    found = outputs_of(ask(mymodel, inputs=[input0(shape=[3, 2], data=[1, 2, 3, 4, 5, 6]), input1()]))
    assert (found["output0"]["shape"], found["output0"]["data"]) == ([3, 2], [2, 4, 6, 8, 10, 12])


@pytest.mark.parametrize("shape", [[-1, 2], [2.0, 2], ["2", 2], [None, 2], 4, {}, [2**64, 2]])
def test_a_dimension_is_an_unsigned_64_bit_integer(mymodel: Caller, shape: Any) -> None:
    """REST: "Each dimension must be an integer representable as an unsigned 64-bit integer value"."""
    assert_refused(ask(mymodel, inputs=[input0(shape=shape), input1()]))


@pytest.mark.parametrize("datatype", ["UINT16", "uint32", "FLOAT", "", 7])
def test_the_datatype_is_the_models(mymodel: Caller, datatype: Any) -> None:
    """REST: "The data-type of the input tensor elements as defined in Tensor Data Types"."""
    assert_refused(ask(mymodel, inputs=[input0(datatype=datatype), input1()]))


# Inference: which outputs


def test_the_requested_output_is_returned(mymodel: Caller) -> None:
    """REST: "For the above request the inference server must return the "output0" output tensor"."""
    assert list(outputs_of(ask(mymodel, outputs=[{"name": "output0"}]))) == ["output0"]


def test_without_requested_outputs_all_are_returned(mymodel: Caller) -> None:
    """REST: "if not specified all outputs produced by the model will be returned"."""
    assert list(outputs_of(ask(mymodel))) == ["output0", "output1", "size"]


def test_an_output_that_the_model_has_not_is_refused(mymodel: Caller) -> None:
    """REST: "The name of the output tensor"."""
    assert_refused(ask(mymodel, outputs=[{"name": "mood"}]))


# What a failed inference says


@pytest.mark.parametrize(
    ("path", "status"),
    [(f"{MODEL}/infer", 400), (f"{MODEL}/versions/9/infer", 404), ("/v2/models/other/infer", 404)],
)
def test_a_failed_inference_is_an_error_status_and_object(mymodel: Caller, path: str, status: int) -> None:
    """REST: "A failed inference request must be indicated by an HTTP error status (typically 400). The HTTP
    body must contain the $inference_error_response object".
    """
    assert_refused(mymodel.post(path, {"inputs": []}), status)


# Tensor data


@pytest.mark.parametrize("data", [[[1, 2], [4, 5]], [1, 2, 4, 5]])
def test_elements_are_row_major_nested_or_flat(mymodel: Caller, data: list[Any]) -> None:
    """REST: "Tensor data must be presented in row-major order"; "Tensor elements may be presented in their
    nature multi-dimensional representation, or as a flattened one-dimensional representation".
    """
    assert outputs_of(ask(mymodel, inputs=[input0(data=data), input1()]))["output0"]["data"] == [2, 4, 8, 10]


@pytest.mark.parametrize(
    "data", [[[1, 2], [4]], [[1], [2], [4], [5]], [1, 2, 4], [1, 2, 4, 5, 6], [[[1, 2, 4, 5]]]]
)
def test_elements_are_given_without_stride_or_padding(mymodel: Caller, data: list[Any]) -> None:
    """REST: "Element values must be given in "linear" order without any stride or padding between elements"."""
    assert_refused(ask(mymodel, inputs=[input0(data=data), input1()]))


@pytest.mark.parametrize("value", ["1", True, None, {}, 1.5, -1, 2**32])
def test_an_unexpected_value_is_an_error(mymodel: Caller, value: Any) -> None:
    """REST: "The server can decide to coerce each element to the required type or return an error"."""
    assert_refused(ask(mymodel, inputs=[input0(data=[value, 2, 4, 5]), input1()]))


def echoed(echo: Caller, **changes: dict[str, Any]) -> list[dict[str, Any]]:
    """An input of every datatype with its sample, those in ``changes`` with other members."""
    return [
        {"name": f"in_{name}", "datatype": name, "shape": [2], "data": SAMPLES[name], **changes.get(name, {})}
        for name in ONNX_TYPES
    ]


@pytest.mark.parametrize("datatype", ONNX_TYPES)
def test_every_datatype_goes_through_as_json(echo: Caller, datatype: str) -> None:
    """REST: the table "Tensor Data Types". FP16 too, which the text calls problematic: any number that FP16
    can hold is written with the digits that read back as it.
    """
    reply = echo.infer(*echoed(echo), outputs=[{"name": f"out_{datatype}"}])
    (output,) = reply.json["outputs"]
    assert (output["datatype"], output["shape"]) == (datatype, [2])
    array = np.array(output["data"], DTYPES[datatype])
    assert array.tolist() == np.array(SAMPLES[datatype], DTYPES[datatype]).tolist()


@pytest.mark.parametrize("datatype", ONNX_TYPES)
def test_a_tensor_may_have_no_elements(echo: Caller, datatype: str) -> None:
    """REST: a dimension is an unsigned integer, and 0 is one."""
    changes = {datatype: {"shape": [0], "data": []}}
    reply = echo.infer(*echoed(echo, **changes), outputs=[{"name": f"out_{datatype}"}])
    (output,) = reply.json["outputs"]
    assert (output["shape"], output["data"]) == ([0], [])


# The binary tensor data extension


def packed(datatype: str) -> bytes:
    if datatype == "BYTES":
        texts = [text.encode() for text in SAMPLES["BYTES"]]
        return b"".join(len(text).to_bytes(4, "little") + text for text in texts)
    dtype = DTYPES[datatype].newbyteorder("<")
    return np.array(SAMPLES[datatype], dtype).tobytes()


def test_the_server_reports_the_extension(mymodel: Caller) -> None:
    """Binary: "Triton reports "binary_tensor_data" in the extensions field of its Server Metadata"."""
    assert "binary_tensor_data" in mymodel.get("/v2").json["extensions"]


@pytest.mark.parametrize("datatype", ONNX_TYPES)
def test_every_datatype_goes_through_as_binary_data_both_ways(echo: Caller, datatype: str) -> None:
    """Binary: "organized in little-endian byte order, row major, without stride or padding between elements.
    All tensor data types are representable as binary data in the native size of the data type".
    """
    data = packed(datatype)
    if datatype != "BYTES":
        assert len(data) == 2 * SIZES[datatype]
    changed = {datatype: {"data": None, "parameters": {"binary_data_size": len(data)}}}
    wanted = [{"name": f"out_{datatype}", "parameters": {"binary_data": True}}]
    reply = echo.binary({"inputs": echoed(echo, **changed), "outputs": wanted}, data)
    (output,) = reply.json["outputs"]
    assert output["parameters"]["binary_data_size"] == len(data)
    assert "data" not in output
    assert reply.data == data


def binary_request(**changes: Any) -> tuple[dict[str, Any], bytes, bytes]:
    """The example of the extension's text: 16 bytes for input0, 3 for input1, 19 together."""
    tensors = [
        {"name": "input0", "shape": [2, 2], "datatype": "UINT32", "parameters": {"binary_data_size": 16}},
        {"name": "input1", "shape": [3], "datatype": "BOOL", "parameters": {"binary_data_size": 3}},
    ]
    document = {"model_name": "mymodel", "inputs": tensors, **changes}
    return document, np.array([1, 2, 4, 5], "<u4").tobytes(), b"\x01\x00\x01"


def test_the_example_of_the_text_is_answered_as_it_says(mymodel: Caller) -> None:
    """Binary: the section "Examples", and "If any binary data is present in the request or response the
    Inference-Header-Content-Length header must be provided to give the length of the JSON object".
    """
    document, zero, one = binary_request(outputs=[{"name": "output0", "parameters": {"binary_data": True}}])
    reply = mymodel.binary(document, zero, one)
    assert (reply.status, reply.headers["content-type"]) == (200, "application/octet-stream")
    (output,) = reply.json["outputs"]
    assert (output["shape"], output["parameters"]) == ([2, 2], {"binary_data_size": 16})
    assert np.frombuffer(reply.data, "<u4").tolist() == [2, 4, 8, 10]


def test_true_is_one_and_false_is_zero(mymodel: Caller) -> None:
    """Binary: "For BOOL type element true is a single byte with value 1 and false is a single byte with value 0"."""
    document, zero, one = binary_request(outputs=[{"name": "output1", "parameters": {"binary_data": True}}])
    assert mymodel.binary(document, zero, one).data == b"\x00\x01\x00"
    assert_refused(mymodel.binary(document, zero, b"\x01\x00\x02"))


def test_the_data_are_in_the_order_of_the_tensors(mymodel: Caller) -> None:
    """Binary: "followed by the binary tensor data in the same order as the order of the input or output tensors
    are specified in the JSON".
    """
    document, zero, one = binary_request(
        outputs=[{"name": name, "parameters": {"binary_data": True}} for name in ("output1", "output0")]
    )
    document["inputs"].reverse()
    reply = mymodel.binary(document, one, zero)
    assert [output["name"] for output in reply.json["outputs"]] == ["output1", "output0"]
    assert reply.data == b"\x00\x01\x00" + np.array([2, 4, 8, 10], "<u4").tobytes()


@pytest.mark.parametrize(("everything", "one"), list(itertools.product([None, True, False], repeat=2)))
def test_an_outputs_own_wish_overrides_the_requests(
    mymodel: Caller, everything: bool | None, one: bool | None
) -> None:
    """Binary: "binary_data" is "false (or not given) if the tensor should be returned as JSON", and "If
    "binary_data" is specified on an output it overrides" "binary_data_output".
    """
    wanted: dict[str, Any] = {"name": "output0"}
    if one is not None:
        wanted["parameters"] = {"binary_data": one}
    rest: dict[str, Any] = {} if everything is None else {"parameters": {"binary_data_output": everything}}
    (output,) = ask(
        mymodel,
        outputs=[
            wanted,
        ],
        **rest,
    ).json["outputs"]
    expected = one if one is not None else bool(everything)
    assert ("binary_data_size" in output.get("parameters", {})) is expected
    assert ("data" in output) is not expected


def test_all_outputs_come_as_binary_data_when_none_is_named(mymodel: Caller) -> None:
    """Binary: "binary_data_output" is "true if all outputs should be returned as binary data"."""
    reply = ask(mymodel, parameters={"binary_data_output": True})
    assert [output["parameters"]["binary_data_size"] for output in reply.json["outputs"]] == [16, 3, 16]
    assert len(reply.data) == 35


def test_without_the_header_binary_data_are_refused(mymodel: Caller) -> None:
    """Binary: "the Inference-Header-Content-Length header must be provided"."""
    document, zero, one = binary_request()
    body = json.dumps(document).encode() + zero + one
    assert_refused(mymodel.post(f"{MODEL}/infer", body, content_type="application/octet-stream"))
    assert_refused(mymodel.post(f"{MODEL}/infer", document))


@pytest.mark.parametrize("size", [15, 17, -1, 2**63, "16", 16.0, True])
def test_the_size_of_the_data_is_an_integer_and_the_tensors(mymodel: Caller, size: Any) -> None:
    """Binary: ""binary_data_size" : int64 parameter indicating the size of the tensor binary data, in bytes"."""
    document, zero, one = binary_request()
    document["inputs"][0]["parameters"]["binary_data_size"] = size
    assert_refused(mymodel.binary(document, zero, one))


def test_a_body_without_json_is_the_data_of_the_only_input(tmp_path: Path) -> None:
    """Binary: "To send a raw binary request, the Inference-Header-Content-Length header must be provided with
    value 0", and "all the model output will be requested to be returned in binary tensor form".
    """
    inputs, outputs = [TensorSpec("x", "FP32", ("n", 2))], [TensorSpec("y", "FP32", ("n", 2))]
    model = onnx_model([helper.make_node("Neg", ["x"], ["y"])], inputs, outputs)
    layer = lay_out(
        tmp_path / environment.MODEL_PACKAGE,
        {"model.onnx": model.SerializeToString()},
        inputs=inputs,
        outputs=outputs,
        golden={"x": np.zeros((1, 2), np.float32)},
        model="mymodel",
    )
    sent = np.arange(4, dtype="<f4").tobytes()
    reply = Caller(layer.load()).post(
        f"{MODEL}/infer",
        sent,
        content_type="application/octet-stream",
        headers={"inference-header-content-length": "0"},
    )
    (output,) = reply.json["outputs"]
    assert (output["shape"], output["parameters"]) == ([2, 2], {"binary_data_size": 16})
    assert np.frombuffer(reply.data, "<f4").tolist() == [0, -1, -2, -3]


def test_a_body_without_json_needs_a_model_with_one_input(mymodel: Caller) -> None:
    """Binary: "the constraints for the qualified models: 1. Only has 1 input"."""
    reply = mymodel.post(f"{MODEL}/infer", b"\0" * 19, headers={"inference-header-content-length": "0"})
    assert_refused(reply)


# What carries it: bodies arrive whole, whatever they are called


@pytest.mark.parametrize(
    "content_type", ["application/json", "application/octet-stream", "", "text/plain", "image/png"]
)
def test_a_json_body_arrives_whole_whatever_its_content_type(mymodel: Caller, content_type: str) -> None:
    """API Gateway hands on text or base64 as the content type has it; the protocol knows JSON."""
    body = json.dumps({"inputs": [input0(), input1()], "id": "é€😀"}).encode()
    assert mymodel.post(f"{MODEL}/infer", body, content_type=content_type).json["id"] == "é€😀"
