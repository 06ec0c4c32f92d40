"""ONNX to LiteRT: each operator answers as onnxruntime does, and what is not known is refused by name."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from torch import nn

from training.errors import ExportError
from training.export.flatbuffer import Interpreted
from training.export.litert import OPERATORS, converted, write_litert
from training.export.parity import Session
from training.export.program import export
from training.make import Task, make

Array = NDArray[Any]
Read = Callable[..., Task]
DRAWN = np.random.default_rng(8)
PICTURE = (4, 6, 5)


def weights(*shape: int) -> Array:
    return DRAWN.normal(size=shape).astype(np.float32)


def whole(*numbers: int) -> Array:
    return np.array(numbers, np.int64)


def graph_of(
    nodes: Sequence[onnx.NodeProto],
    row: Sequence[int],
    gives: Sequence[int],
    constants: dict[str, Array] | None = None,
    *,
    kinds: tuple[int, int] = (TensorProto.FLOAT, TensorProto.FLOAT),
) -> onnx.ModelProto:
    graph = helper.make_graph(
        list(nodes),
        "one",
        [helper.make_tensor_value_info("x", kinds[0], ["batch", *row])],
        [helper.make_tensor_value_info("y", kinds[1], ["batch", *gives])],
        [numpy_helper.from_array(value, name) for name, value in (constants or {}).items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    onnx.checker.check_model(model, full_check=True)
    return model


def one(
    kind: str,
    row: Sequence[int],
    gives: Sequence[int],
    constants: dict[str, Array] | None = None,
    inputs: Sequence[str] | None = None,
    **said: Any,
) -> onnx.ModelProto:
    node = helper.make_node(kind, list(inputs or ["x", *(constants or {})]), ["y"], **said)
    kinds = (TensorProto.FLOAT, TensorProto.INT64 if kind == "ArgMax" else TensorProto.FLOAT)
    return graph_of([node], row, gives, constants, kinds=kinds)


def convolution(gives: Sequence[int], shape: Sequence[int], **said: Any) -> onnx.ModelProto:
    return one("Conv", PICTURE, gives, {"w": weights(*shape), "b": weights(shape[0])}, **said)


CHANNELS = {name: np.abs(weights(4)) for name in ("scale", "shift", "mean", "variance")}
KNOWN = {
    "Add": one("Add", (3,), (3,), {"c": weights(3)}),
    "Add-a-number": one("Add", (3,), (3,), {"c": weights()}),
    "Add-to-channels": one("Add", PICTURE, PICTURE, {"c": weights(4, 1, 1)}),
    "Add-itself": one("Add", (3,), (3,), inputs=["x", "x"]),
    "ArgMax": one("ArgMax", (7,), (), axis=1, keepdims=0),
    "AveragePool": one("AveragePool", PICTURE, (4, 3, 2), kernel_shape=[2, 2], strides=[2, 2]),
    "AveragePool-same": one(
        "AveragePool", PICTURE, PICTURE, kernel_shape=[3, 3], pads=[1, 1, 1, 1], count_include_pad=0
    ),
    "BatchNormalization": one("BatchNormalization", PICTURE, PICTURE, CHANNELS, epsilon=1e-3),
    "BatchNormalization-of-rows": one("BatchNormalization", (4,), (4,), CHANNELS),
    "Conv": convolution((8, 4, 3), (8, 4, 3, 3)),
    "Conv-same": convolution((8, 6, 5), (8, 4, 3, 3), pads=[1, 1, 1, 1]),
    "Conv-padded": convolution((8, 3, 3), (8, 4, 3, 3), pads=[1, 1, 1, 1], strides=[2, 2], dilations=[1, 1]),
    "Conv-dilated": convolution((8, 2, 1), (8, 4, 3, 3), dilations=[2, 2]),
    "Conv-by-channel": convolution((8, 6, 5), (8, 1, 3, 3), group=4, pads=[1, 1, 1, 1]),
    "Conv-without-bias": one("Conv", PICTURE, (2, 6, 5), {"w": weights(2, 4, 1, 1)}),
    "Div": one("Div", (3,), (3,), {"c": np.abs(weights(3)) + 1}),
    "Div-by-it": one("Div", (3,), (3,), {"c": weights(3)}, inputs=["c", "x"]),
    "Flatten": one("Flatten", PICTURE, (120,)),
    "Gemm": one("Gemm", (5,), (2,), {"w": weights(5, 2), "b": weights(2)}, alpha=0.5, beta=2.0),
    "Gemm-turned": one("Gemm", (5,), (2,), {"w": weights(2, 5)}, transB=1),
    "GlobalAveragePool": one("GlobalAveragePool", PICTURE, (4, 1, 1)),
    "Identity": graph_of(
        [helper.make_node("Relu", ["x"], ["r"]), helper.make_node("Identity", ["r"], ["y"])], (3,), (3,)
    ),
    "MatMul": one("MatMul", (5,), (2,), {"w": weights(5, 2)}),
    "MaxPool": one("MaxPool", PICTURE, (4, 3, 2), kernel_shape=[2, 2], strides=[2, 2]),
    "MaxPool-same": one("MaxPool", PICTURE, PICTURE, kernel_shape=[3, 3], pads=[1, 1, 1, 1]),
    "Mul": one("Mul", PICTURE, PICTURE, {"c": weights(1, 4, 1, 1)}),
    "ReduceMean": one("ReduceMean", PICTURE, (4, 1, 1), {"axes": whole(-1, 2)}),
    "Relu": one("Relu", (3,), (3,)),
    "Reshape": one("Reshape", PICTURE, (8, 15), {"s": whole(-1, 8, 15)}),
    "Sigmoid": one("Sigmoid", (3,), (3,)),
    "Softmax": one("Softmax", (6,), (6,)),
    "Squeeze": one("Squeeze", (1,), (), {"axes": whole(1)}),
    "Sub": one("Sub", (3,), (3,), {"c": weights(3)}, inputs=["c", "x"]),
    "Tanh": one("Tanh", (3,), (3,)),
    "Unsqueeze": one("Unsqueeze", (3,), (1, 3), {"axes": whole(1)}),
}


@pytest.mark.parametrize("name", KNOWN)
def test_an_operator_answers_as_onnxruntime_does_at_any_number_of_rows(name: str) -> None:
    model = KNOWN[name]
    data, _ = converted(model)
    run, served = Interpreted(data), Session(model.SerializeToString())
    row = [one.dim_value for one in model.graph.input[0].type.tensor_type.shape.dim[1:]]
    for rows in (1, 7, 3):
        inputs = (np.random.default_rng(rows).normal(size=(rows, *row)) * 2).astype(np.float32)
        inputs += np.where(np.abs(inputs) < 0.1, 1, 0).astype(np.float32)
        have, want = run(inputs)["y"], served(inputs)["y"]
        assert have.shape == want.shape
        assert have.dtype == want.dtype
        np.testing.assert_allclose(have, want, rtol=1e-5, atol=1e-5)


def test_every_operator_that_is_written_is_among_those_tried() -> None:
    assert {name.partition("-")[0] for name in KNOWN} == set(OPERATORS)


def test_a_network_of_many_layers_is_turned_once_at_each_end(tmp_path: Path) -> None:
    torch.manual_seed(4)
    network = nn.Sequential(
        nn.Unflatten(1, (2, 9, 9)),
        *(nn.Conv2d(2, 4, 3, stride=2), nn.BatchNorm2d(4), nn.Tanh()),
        *(nn.Conv2d(4, 8, 3, padding=1, groups=4), nn.Sigmoid(), nn.AvgPool2d(2), nn.AdaptiveAvgPool2d(1)),
        *(nn.Flatten(), nn.BatchNorm1d(8), nn.Linear(8, 3, bias=False), nn.Softmax(1)),
    )
    path = tmp_path / "model.onnx"
    export(network, torch.ones(2, 162), path, names=("x", ("y",)), opset=18)
    rows = weights(40, 162)
    found = write_litert(path, tmp_path / "model.tflite", {"many": rows, "one": rows[:1]}, tolerance=1e-5)
    assert found.operators["TRANSPOSE"] == 2
    assert found.parity.rows == 41
    data = (tmp_path / "model.tflite").read_bytes()
    assert found.bytes == len(data)
    assert data == converted(onnx.load(path))[0]
    phone = Interpreted(data, delegated=True)(rows)["y"]
    np.testing.assert_allclose(phone, Session(path)(rows)["y"], atol=1e-5)


def test_a_sum_of_two_ways_stays_turned_where_both_are() -> None:
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["a"]),
        helper.make_node("Relu", ["a"], ["b"]),
        helper.make_node("Add", ["a", "b"], ["y"]),
    ]
    model = graph_of(nodes, PICTURE, PICTURE, {"w": weights(4, 4, 1, 1)})
    data, operators = converted(model)
    assert operators["TRANSPOSE"] == 2
    inputs = weights(3, *PICTURE)
    served = Session(model.SerializeToString())(inputs)["y"]
    np.testing.assert_allclose(Interpreted(data)(inputs)["y"], served, atol=1e-5)


REFUSED = {
    "all-unknown-by-name": (
        graph_of([helper.make_node("Erf", ["x"], ["e"]), helper.make_node("Abs", ["e"], ["y"])], (3,), (3,)),
        "have no `Abs` and no `Erf`",
    ),
    "groups": (
        convolution((8, 6, 5), (8, 2, 3, 3), group=2, pads=[1, 1, 1, 1]),
        "`Conv` that gives `y` has 2 groups of 4 channels",
    ),
    "padding": (
        one("MaxPool", PICTURE, (4, 3, 3), kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1]),
        "LiteRT pads another way",
    ),
    "padding-that-counts": (
        one("AveragePool", PICTURE, PICTURE, kernel_shape=[3, 3], pads=[1, 1, 1, 1], count_include_pad=1),
        "LiteRT pads another way",
    ),
    "ceil": (
        one("MaxPool", PICTURE, (4, 3, 3), kernel_shape=[2, 2], strides=[2, 2], ceil_mode=1),
        "`ceil_mode` 1",
    ),
    "mean-of-one-side": (one("ReduceMean", PICTURE, (4, 6, 1), {"axes": whole(3)}), "over the dimensions"),
    "softmax-over-pictures": (one("Softmax", PICTURE, PICTURE), "is given 4 dimensions"),
    "last-largest": (
        one("ArgMax", (7,), (), axis=1, keepdims=0, select_last_index=1),
        "is not the first largest",
    ),
    "unequal-rows": (
        graph_of(
            [
                helper.make_node("Gemm", ["x", "w"], ["a"]),
                helper.make_node("Add", ["x", "a"], ["y"]),
            ],
            (5,),
            (5,),
            {"w": weights(5, 1)},
        ),
        "is given rows of",
    ),
    "larger-constant": (one("Add", (1,), (3,), {"c": weights(3)}), "has a constant of"),
    "constant-alone": (
        one("Add", (3,), (3,), {"c": weights(1, 3)}, inputs=["c", "c"]),
        "is given a constant alone",
    ),
    "computed-bias": (
        one("Gemm", (3,), (3,), {"w": weights(3, 3)}, inputs=["x", "w", "x"]),
        "has `x` computed where a constant is known",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_written_is_refused_with_what_to_do(name: str) -> None:
    model, said = REFUSED[name]
    with pytest.raises(ExportError, match=said) as refused:
        converted(model)
    assert str(refused.value.hint).endswith(".")


def test_whole_numbers_as_input_are_refused() -> None:
    node = helper.make_node("Identity", ["x"], ["y"])
    model = graph_of([node], (3,), (3,), kinds=(TensorProto.INT64, TensorProto.INT64))
    with pytest.raises(ExportError, match="take one input of FP32"):
        converted(model)


def test_a_row_of_an_open_shape_is_refused() -> None:
    model = one("Relu", (3,), (3,))
    for side in (model.graph.input[0], model.graph.output[0]):
        side.type.tensor_type.shape.dim[1].dim_param = "length"
    with pytest.raises(ExportError, match="`x` has no stated shape but for its rows"):
        converted(model)


def test_a_reshape_that_mixes_rows_is_refused() -> None:
    model = one("Reshape", (4,), (2,), {"s": whole(-1, 2)})
    with pytest.raises(ExportError, match="does not keep rows as rows"):
        converted(model)


def test_a_file_that_answers_otherwise_is_not_written(tmp_path: Path) -> None:
    """A tolerance of nothing at all: what differs in the last bit is another answer."""
    path = tmp_path / "model.onnx"
    onnx.save(KNOWN["Conv"], path)
    old = tmp_path / "model.tflite"
    old.write_bytes(b"of another run")
    samples = {"golden": weights(64, *PICTURE) * 1000}
    with pytest.raises(ExportError, match="`y` of the LiteRT file differs"):
        write_litert(path, old, samples, tolerance=1e-12)
    assert not old.exists()


CHANGED = {"softmax": ("[export]", "[export]\nlitert = true")}


@pytest.mark.parametrize("recipe", ["softmax", "perceptron", "convolutional"])
def test_the_networks_of_the_room_are_made_for_the_edge(recipe: str, task: Read, tmp_path: Path) -> None:
    read = task(recipe, CHANGED.get(recipe, ("[fit]", "[export]\nlitert = true\n[fit]")))
    made = make(read, tmp_path / "out")
    assert made.litert is not None
    assert made.litert.parity.rows == 64 + 17 + 1
    assert made.litert.parity.difference < 1e-4
    run = Interpreted(made.litert_path.read_bytes())
    inputs = read.data.test.inputs
    served, edge = Session(made.path)(inputs), run(inputs)
    assert served.keys() == edge.keys()
    if "label" in served:
        np.testing.assert_allclose(edge["probabilities"], served["probabilities"], atol=1e-4)
        assert (edge["label"] == served["label"]).mean() > 0.99
    else:
        np.testing.assert_allclose(edge["value"], served["value"], rtol=1e-4, atol=1e-4)
