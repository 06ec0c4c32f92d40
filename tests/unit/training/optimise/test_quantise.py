"""Fewer bits: which operators come of it, how large it is, and that it still answers alike."""

import logging
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from training.errors import ExportError
from training.export.parity import Session
from training.export.report import report
from training.make import Made, Task
from training.measured import measured
from training.optimise.quantise import matrices_of_their_own, quantise


@pytest.mark.parametrize(
    ("how", "operator", "share"),
    [
        ("int8", "QuantizeLinear", 0.9),
        ("int8-dynamic", "ConvInteger", 0.75),
        ("int4", "com.microsoft.MatMulNBits", 0.8),
        ("fp16", "Cast", 0.75),
    ],
    ids=["int8", "int8-dynamic", "int4", "fp16"],
)
def test_a_quantised_graph_is_smaller_and_answers_alike(
    how: str, operator: str, share: float, trained: tuple[Task, Made], tmp_path: Path
) -> None:
    task, made = trained
    path = tmp_path / "model.onnx"
    quantise(made.path, how, path, rows=task.data.train.inputs)
    assert operator in report(path).operators
    assert path.stat().st_size < made.path.stat().st_size * share
    accuracy = measured(Session(path), task.data.test, task.data.task)["accuracy"]
    assert accuracy == pytest.approx(made.metrics["test_accuracy"], abs=0.03)


def test_the_same_file_comes_out_each_time(trained: tuple[Task, Made], tmp_path: Path) -> None:
    task, made = trained
    for name in ("one", "two"):
        quantise(made.path, "int8", tmp_path / name, rows=task.data.train.inputs)
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


def test_fewer_bits_leave_everybody_s_log_as_it_was(trained: tuple[Task, Made], tmp_path: Path) -> None:
    before = list(logging.root.handlers), logging.root.level, logging.root.manager.disable
    quantise(trained[1].path, "int4", tmp_path / "model.onnx", rows=trained[0].data.train.inputs)
    assert (list(logging.root.handlers), logging.root.level, logging.root.manager.disable) == before


def test_a_gemm_written_as_product_and_sum_is_the_same_function(trained: tuple[Task, Made]) -> None:
    task, made = trained
    model = onnx.load(made.path)
    matrices_of_their_own(model)
    kinds = {node.op_type for node in model.graph.node}
    assert "Gemm" not in kinds
    assert "MatMul" in kinds
    rows = task.data.test.inputs[:20]
    before = Session(made.path)(rows)["probabilities"]
    after = Session(model.SerializeToString())(rows)["probabilities"]
    assert np.allclose(before, after, atol=1e-6)


def test_a_graph_without_weights_is_refused(tmp_path: Path) -> None:
    graph = helper.make_graph(
        [helper.make_node("Neg", ["x"], ["y"])],
        "negates",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 3])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", 3])],
    )
    path = tmp_path / "model.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8), path)
    with pytest.raises(ExportError, match="nothing in this graph can be written as int4"):
        quantise(path, "int4", tmp_path / "small.onnx", rows=np.zeros((4, 3), np.float32))
