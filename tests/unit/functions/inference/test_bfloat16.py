"""``functions.inference.bfloat16``: a graph with BF16 at its edge is served like any other."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, helper

from functions.inference.artifact import LayerArtifact
from functions.inference.predictor import BadInputError, Predictor
from functions.protocol.tensors import BFLOAT16, bfloat16_from_floats, floats_from_bfloat16
from model_store.contract.errors import InvalidArtifactError
from model_store.contract.tensors import TensorSpec
from tests.unit.functions.conftest import Caller, Layer, lay_out

HALVES = np.array([[1.0, 2.5], [-3.0, 0.0]], np.float32)


def layer(package: Path, *, gives: str = "BF16", text: bool = False) -> Layer:
    """``x`` BF16 [n, 2] to ``y``, twice ``x``; with ``text`` also strings that pass by."""
    types = {"BF16": TensorProto.BFLOAT16, "FP32": TensorProto.FLOAT, "BYTES": TensorProto.STRING}
    inputs = [TensorSpec("x", "BF16", ("n", 2))]
    outputs = [TensorSpec("y", gives, ("n", 2))]
    nodes = [
        helper.make_node("Cast", ["x"], ["floats"], to=TensorProto.FLOAT),
        helper.make_node("Add", ["floats", "floats"], ["sum"]),
        helper.make_node("Cast", ["sum"], ["y"], to=types[gives]),
    ]
    if text:
        inputs.append(TensorSpec("t", "BYTES", ("m",)))
        outputs.append(TensorSpec("u", "BYTES", ("m",)))
        nodes.append(helper.make_node("Identity", ["t"], ["u"]))
    takes, gives_ = (
        [helper.make_tensor_value_info(spec.name, types[spec.datatype], spec.shape) for spec in specs]
        for specs in (inputs, outputs)
    )
    graph = helper.make_graph(nodes, "halves", takes, gives_)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    files = {"model.onnx": model.SerializeToString()}
    return lay_out(package, files, inputs=inputs, outputs=outputs, golden={})


def predictor(layer: Layer) -> Predictor:
    return Predictor.load(LayerArtifact(str(layer.package), layer.manifest))


@pytest.mark.parametrize("shape", [(2, 2), (1, 2), (0, 2)])
def test_bfloat16_goes_in_and_comes_out(package: Path, shape: tuple[int, int]) -> None:
    run = predictor(layer(package))
    x = bfloat16_from_floats(HALVES[: shape[0]])
    y = run({"x": x}, ["y"])["y"]
    assert (y.dtype, y.shape) == (BFLOAT16, shape)
    assert np.array_equal(floats_from_bfloat16(y), HALVES[: shape[0]] * 2)


def test_what_comes_out_stays_what_it_was(package: Path) -> None:
    """The memory of a result belongs to whoever asked, and not to the next run."""
    run = predictor(layer(package))
    first = run({"x": bfloat16_from_floats(HALVES)}, ["y"])["y"]
    for _ in range(20):
        run({"x": bfloat16_from_floats(HALVES * 4)}, ["y"])
    assert np.array_equal(floats_from_bfloat16(first), HALVES * 2)


def test_strings_may_stand_beside_bfloat16_that_goes_in(package: Path) -> None:
    run = predictor(layer(package, gives="FP32", text=True))
    words = np.array(["a", "é€😀"], object)
    found = run({"x": bfloat16_from_floats(HALVES), "t": words}, ["u", "y"])
    assert found["u"].tolist() == words.tolist()
    assert np.array_equal(found["y"], HALVES * 2)


def test_strings_beside_bfloat16_that_comes_out_cannot_be(package: Path) -> None:
    """onnxruntime makes no values of strings: such a version never starts, and is refused at publish."""
    with pytest.raises(InvalidArtifactError, match="takes strings and gives BF16"):
        predictor(layer(package, text=True))


def test_a_run_that_is_refused_is_the_callers_fault(package: Path) -> None:
    run = predictor(layer(package))
    with pytest.raises(BadInputError):
        run({"x": bfloat16_from_floats(np.zeros((1, 3), np.float32))}, ["y"])


def test_json_and_binary_bfloat16_are_answered_in_kind(package: Path) -> None:
    caller = Caller(layer(package).load())
    x = {"name": "x", "datatype": "BF16", "shape": [2, 2]}
    (y,) = caller.infer({**x, "data": HALVES.tolist()}).json["outputs"]
    assert y == {"name": "y", "datatype": "BF16", "shape": [2, 2], "data": [2.0, 5.0, -6.0, 0.0]}

    bits = bfloat16_from_floats(HALVES).tobytes()
    asked = {
        "inputs": [{**x, "parameters": {"binary_data_size": len(bits)}}],
        "parameters": {"binary_data_output": True},
    }
    reply = caller.binary(asked, bits)
    assert reply.json["outputs"][0]["datatype"] == "BF16"
    assert reply.data == bfloat16_from_floats(HALVES * 2).tobytes()
    metadata = caller.get("/v2/models/digits").json
    assert [tensor["datatype"] for tensor in (*metadata["inputs"], *metadata["outputs"])] == ["BF16", "BF16"]


def test_a_number_that_bfloat16_cannot_hold_is_a_400(package: Path) -> None:
    caller = Caller(layer(package).load())
    reply = caller.infer({"name": "x", "datatype": "BF16", "shape": [1, 2], "data": [0, 3.4e38]})
    assert reply.status == 400
    assert "beyond BF16" in reply.json["error"]
