"""``model_store.bfloat16``: a graph with BF16 at its edge is published with a golden sample in FP32."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper

from model_store.adapters.memory import MemoryStore
from model_store.bfloat16 import in_floats
from model_store.contract.errors import InvalidArtifactError
from model_store.contract.golden import differences
from model_store.publish import publish


def model(*, takes: int = TensorProto.BFLOAT16, gives: int = TensorProto.BFLOAT16) -> onnx.ModelProto:
    """``x`` [n, 2] to ``y``, three times ``x``."""
    nodes = [
        helper.make_node("Cast", ["x"], ["floats"], to=TensorProto.FLOAT),
        helper.make_node("Sum", ["floats", "floats", "floats"], ["sum"]),
        helper.make_node("Cast", ["sum"], ["y"], to=gives),
    ]
    x = helper.make_tensor_value_info("x", takes, ["n", 2])
    y = helper.make_tensor_value_info("y", gives, ["n", 2])
    graph = helper.make_graph(nodes, "halves", [x], [y])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)


def session(made: onnx.ModelProto) -> onnxruntime.InferenceSession:
    return onnxruntime.InferenceSession(made.SerializeToString())


def test_a_graph_without_bfloat16_at_its_edge_is_left_as_it_is() -> None:
    plain = session(model(takes=TensorProto.FLOAT, gives=TensorProto.FLOAT))
    assert in_floats(plain) is plain


@pytest.mark.parametrize("takes", [TensorProto.BFLOAT16, TensorProto.FLOAT])
@pytest.mark.parametrize("gives", [TensorProto.BFLOAT16, TensorProto.FLOAT])
@pytest.mark.parametrize("rows", [2, 0])
def test_floats_go_in_rounded_and_floats_come_out(takes: int, gives: int, rows: int) -> None:
    x = np.array([[1.0, 0.1], [-2.5, 3.0]], np.float32)[:rows]
    run = in_floats(session(model(takes=takes, gives=gives)))
    (y,) = run.run(None, {"x": x})
    (by_name,) = run.run(["y"], {"x": x})
    assert (y.dtype, y.shape) == (np.float32, (rows, 2))
    assert np.array_equal(y, by_name)
    assert np.allclose(y, x * 3, rtol=1e-2)


def test_it_is_published_with_its_datatype_and_a_tolerance_for_halves(tmp_path: Path) -> None:
    onnx.save(model(), tmp_path / "model.onnx")
    manifest = publish(MemoryStore(), "m", tmp_path / "model.onnx", created_by="test").manifest
    assert [spec.datatype for spec in (*manifest.inputs, *manifest.outputs)] == ["BF16", "BF16"]
    golden = manifest.golden
    assert golden.rtol == 1e-2
    (expected,) = golden.outputs
    near = {**expected.as_json(), "data": [value * 1.005 for value in expected.data]}
    assert differences(golden, [near]) == []
    far = {**expected.as_json(), "data": [value * 1.1 + 1 for value in expected.data]}
    assert len(differences(golden, [far])) == 1


def test_a_sample_of_ones_own_is_taken(tmp_path: Path) -> None:
    onnx.save(model(), tmp_path / "model.onnx")
    tensor = {"name": "x", "datatype": "BF16", "shape": [1, 2], "data": [0.1, -4.0]}
    (tmp_path / "sample.json").write_text(json.dumps({"inputs": [tensor]}))
    manifest = publish(
        MemoryStore(), "m", tmp_path / "model.onnx", sample=tmp_path / "sample.json", created_by="test"
    ).manifest
    assert manifest.golden.inputs[0].data == (0.1, -4.0)
    assert manifest.golden.outputs[0].data[1] == -12.0


def test_strings_beside_bfloat16_that_comes_out_are_refused_at_publish(tmp_path: Path) -> None:
    made = model()
    made.graph.input.append(helper.make_tensor_value_info("t", TensorProto.STRING, ["m"]))
    made.graph.output.append(helper.make_tensor_value_info("u", TensorProto.STRING, ["m"]))
    made.graph.node.append(helper.make_node("Identity", ["t"], ["u"]))
    onnx.save(made, tmp_path / "model.onnx")
    with pytest.raises(InvalidArtifactError, match="takes strings and gives BF16"):
        publish(MemoryStore(), "m", tmp_path / "model.onnx", created_by="test")
