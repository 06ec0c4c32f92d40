"""Small ONNX models, and a store to put them in."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from model_store.adapters.memory import MemoryStore

SaveModel = Callable[..., Path]


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


@pytest.fixture
def clock() -> Callable[[], datetime]:
    return lambda: datetime(2026, 5, 17, 10, 30, 5, tzinfo=UTC)


@pytest.fixture
def build() -> Callable[..., onnx.ModelProto]:
    """Make an ONNX model of the given nodes; without nodes, ``y = x * scale`` on rows of four."""

    def build(
        nodes: Sequence[onnx.NodeProto] | None = None,
        inputs: Sequence[Any] | None = None,
        outputs: Sequence[Any] | None = None,
        initializers: Sequence[onnx.TensorProto] | None = None,
        *,
        scale: float = 2.0,
        opset: int = 17,
        ir_version: int = 8,
        functions: Sequence[onnx.FunctionProto] = (),
    ) -> onnx.ModelProto:
        if nodes is None:
            nodes = [helper.make_node("Mul", ["x", "scale"], ["y"])]
            initializers = [numpy_helper.from_array(np.full(4, scale, np.float32), "scale")]
        if inputs is None:
            inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 4])]
        if outputs is None:
            outputs = [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", 4])]
        graph = helper.make_graph(nodes, "graph", inputs, outputs, initializers or [])
        opsets = [helper.make_opsetid("", opset)]
        if functions:
            opsets.append(helper.make_opsetid("own", 1))
        return helper.make_model(
            graph,
            producer_name="tests",
            producer_version="1",
            opset_imports=opsets,
            ir_version=ir_version,
            functions=functions,
        )

    return build


@pytest.fixture
def save(tmp_path: Path, build: Callable[..., onnx.ModelProto]) -> SaveModel:
    """Build a model and write it to ``tmp_path``; ``name`` may hold folders."""

    def save(*args: Any, name: str = "model.onnx", **settings: Any) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(build(*args, **settings).SerializeToString())
        return path

    return save


@pytest.fixture
def save_external(tmp_path: Path) -> Callable[..., Path]:
    """Write a folder whose model keeps its one weight at ``location``, wherever that points."""

    def save_external(
        location: str = "weights.bin", *, where: str = "initializer", data: bytes | None = None, **facts: str
    ) -> Path:
        folder = tmp_path / "artifact"
        folder.mkdir(exist_ok=True)
        tensor = TensorProto(name="scale", data_type=TensorProto.FLOAT, dims=[4])
        tensor.data_location = TensorProto.EXTERNAL
        for key, value in {"location": location, **facts}.items():
            tensor.external_data.add(key=key, value=value)
        (folder / "model.onnx").write_bytes(_around(tensor, where).SerializeToString())
        if data is not None:
            (folder / "weights.bin").write_bytes(data)
        return folder

    return save_external


def _around(tensor: TensorProto, where: str) -> onnx.ModelProto:
    """A model that carries ``tensor`` as an initializer, in a constant, a branch, a function or a list."""
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 4])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", 4])
    constant = helper.make_node("Constant", [], ["scale"], value=tensor)
    multiply = helper.make_node("Mul", ["x", "scale"], ["y"])
    nodes, initializers, functions = [multiply], [], []
    if where == "initializer":
        initializers = [tensor]
    elif where == "constant":
        nodes = [constant, multiply]
    elif where == "branch":
        out = helper.make_tensor_value_info("picked", TensorProto.FLOAT, [4])
        pick = helper.make_node("Identity", ["scale"], ["picked"])
        by_initializer = helper.make_graph([pick], "then", [], [out], [tensor])
        by_constant = helper.make_graph([constant, pick], "else", [], [out])
        flag = numpy_helper.from_array(np.array(True), "flag")
        choose = helper.make_node(
            "If", ["flag"], ["chosen"], then_branch=by_initializer, else_branch=by_constant
        )
        nodes = [choose, helper.make_node("Mul", ["x", "chosen"], ["y"])]
        initializers = [flag]
    elif where == "function":
        functions = [
            helper.make_function(
                "own", "Scaled", ["x"], ["y"], [constant, multiply], [helper.make_opsetid("", 17)]
            )
        ]
        nodes = [helper.make_node("Scaled", ["x"], ["y"], domain="own")]
    graph = helper.make_graph(nodes, "graph", [x], [y], initializers)
    if where == "sparse":
        graph.sparse_initializer.add().values.CopyFrom(tensor)
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("own", 1)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=8, functions=functions)
    if where == "training":
        model.training_info.add().algorithm.initializer.append(tensor)
    return model
