"""Three models to measure with, made from fixed seeds: small, convolutional, attention. Not shipped.

They have the shapes of what people serve and random weights: time and memory do not depend on the values.
Batch norms are folded into the convolutions and GELU is written with Erf, as PyTorch's exporter leaves them.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

Array = np.ndarray[Any, np.dtype[Any]]

PERCEPTRON = (1000, 500, 250, 100, 1)
LAYERS, HIDDEN, HEADS, WIDER, TOKENS, WORDS = 6, 384, 12, 1536, 128, 30_522


@dataclass(frozen=True, slots=True)
class Subject:
    """A model and one request for it."""

    name: str
    graph: bytes
    input: Array
    declared: tuple[int | str, ...]
    output: str
    output_shape: tuple[int | str, ...]

    @property
    def datatype(self) -> str:
        return {"f": "FP32", "i": "INT64"}[self.input.dtype.kind]


class _Graph:
    """Nodes and weights as they come; every weight is drawn from one generator."""

    def __init__(self, seed: int) -> None:
        self._random = np.random.default_rng(seed)
        self.nodes: list[onnx.NodeProto] = []
        self.weights: list[onnx.TensorProto] = []

    def weight(self, *shape: int, scale: float | None = None) -> str:
        fan_in = int(np.prod(shape[1:] if len(shape) == 4 else shape[:1]))
        size = scale if scale is not None else fan_in**-0.5
        return self.constant((self._random.standard_normal(shape) * size).astype(np.float32))

    def constant(self, array: Array) -> str:
        name = f"w{len(self.weights)}"
        self.weights.append(numpy_helper.from_array(array, name))
        return name

    def node(self, operator: str, *inputs: str, **attributes: Any) -> str:
        name = f"{operator.lower()}{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, list(inputs), [name], **attributes))
        return name

    def finish(self, given: onnx.ValueInfoProto, out: str, shape: tuple[int | str, ...]) -> bytes:
        self.nodes.append(helper.make_node("Identity", [out], ["y"]))
        answer = helper.make_tensor_value_info("y", TensorProto.FLOAT, list(shape))
        graph = helper.make_graph(self.nodes, "graph", [given], [answer], self.weights)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
        onnx.checker.check_model(model)
        return bytes(model.SerializeToString())


def perceptron() -> Subject:
    """1000-500-250-100-1 with ReLU: what a function spends besides the model is most of it."""
    graph = _Graph(1)
    given = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", PERCEPTRON[0]])
    at = "x"
    for position, (wide, narrow) in enumerate(itertools.pairwise(PERCEPTRON)):
        at = graph.node("Gemm", at, graph.weight(wide, narrow), graph.weight(narrow, scale=0.1))
        if position < len(PERCEPTRON) - 2:
            at = graph.node("Relu", at)
    x = np.random.default_rng(2).standard_normal((1, PERCEPTRON[0])).astype(np.float32)
    return Subject("perceptron", graph.finish(given, at, ("batch", 1)), x, ("batch", 1000), "y", ("batch", 1))


def resnet() -> Subject:
    """ResNet-18-like: 20 convolutions, 11.7 million weights, one image of 3 x 224 x 224."""
    graph = _Graph(3)
    given = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 3, 224, 224])

    def conv(at: str, wide: int, narrow: int, size: int, stride: int) -> str:
        pad = size // 2
        return graph.node(
            "Conv", at, graph.weight(wide, narrow, size, size), graph.weight(wide, scale=0.01),
            kernel_shape=[size, size], strides=[stride, stride], pads=[pad] * 4,
        )  # fmt: skip

    at = graph.node("Relu", conv("x", 64, 3, 7, 2))
    at = graph.node("MaxPool", at, kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])
    narrow = 64
    for wide in (64, 128, 256, 512):
        for block in range(2):
            stride = 2 if wide != narrow else 1
            aside = conv(at, wide, narrow, 1, stride) if stride == 2 else at
            within = graph.node("Relu", conv(at, wide, narrow, 3, stride))
            within = conv(within, wide, wide, 3, 1)
            at = graph.node("Relu", graph.node("Add", within, aside))
            narrow = wide
            assert block in (0, 1)
    at = graph.node("Flatten", graph.node("GlobalAveragePool", at))
    at = graph.node("Gemm", at, graph.weight(512, 1000), graph.weight(1000, scale=0.01))
    x = np.random.default_rng(4).standard_normal((1, 3, 224, 224)).astype(np.float32)
    shape = ("batch", 3, 224, 224)
    return Subject("resnet", graph.finish(given, at, ("batch", 1000)), x, shape, "y", ("batch", 1000))


def encoder() -> Subject:
    """A 6-layer text encoder, hidden 384, 12 heads, 30,522 words, one text of 128 tokens."""
    graph = _Graph(5)
    given = helper.make_tensor_value_info("x", TensorProto.INT64, ["batch", TOKENS])
    split = graph.constant(np.array([0, TOKENS, HEADS, HIDDEN // HEADS], np.int64))
    joined = graph.constant(np.array([0, TOKENS, HIDDEN], np.int64))
    scale = graph.constant(np.array((HIDDEN // HEADS) ** -0.5, np.float32))

    def linear(at: str, wide: int, narrow: int) -> str:
        return graph.node("Add", graph.node("MatMul", at, graph.weight(wide, narrow)), graph.weight(narrow))

    def norm(at: str) -> str:
        ones = graph.constant(np.ones(HIDDEN, np.float32))
        return graph.node("LayerNormalization", at, ones, graph.weight(HIDDEN, scale=0.01), axis=-1)

    def heads(at: str, order: list[int]) -> str:
        return graph.node("Transpose", graph.node("Reshape", linear(at, HIDDEN, HIDDEN), split), perm=order)

    def gelu(at: str) -> str:
        root = graph.constant(np.array(2**0.5, np.float32))
        one, half = (graph.constant(np.array(value, np.float32)) for value in (1, 0.5))
        erf = graph.node("Add", graph.node("Erf", graph.node("Div", at, root)), one)
        return graph.node("Mul", graph.node("Mul", at, erf), half)

    at = graph.node("Gather", graph.weight(WORDS, HIDDEN, scale=0.02), "x")
    at = norm(graph.node("Add", at, graph.weight(TOKENS, HIDDEN, scale=0.02)))
    for _ in range(LAYERS):
        query, key, value = heads(at, [0, 2, 1, 3]), heads(at, [0, 2, 3, 1]), heads(at, [0, 2, 1, 3])
        scores = graph.node("Softmax", graph.node("Mul", graph.node("MatMul", query, key), scale), axis=-1)
        mixed = graph.node("Transpose", graph.node("MatMul", scores, value), perm=[0, 2, 1, 3])
        at = norm(graph.node("Add", at, linear(graph.node("Reshape", mixed, joined), HIDDEN, HIDDEN)))
        at = norm(graph.node("Add", at, linear(gelu(linear(at, HIDDEN, WIDER)), WIDER, HIDDEN)))
    at = graph.node("ReduceMean", at, axes=[1], keepdims=0)
    x = np.random.default_rng(6).integers(0, WORDS, (1, TOKENS))
    declared = ("batch", TOKENS)
    return Subject("encoder", graph.finish(given, at, ("batch", HIDDEN)), x, declared, "y", ("batch", HIDDEN))


SUBJECTS: dict[str, Callable[[], Subject]] = {
    "perceptron": perceptron,
    "resnet": resnet,
    "encoder": encoder,
}
