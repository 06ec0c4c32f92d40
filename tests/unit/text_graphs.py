"""Graphs with operators of onnxruntime-extensions: a sentence to token numbers, and numbers to a verdict."""

from __future__ import annotations

import json

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from model_store.contract.extensions import DOMAIN

WORDS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "good", "bad", "movie", "##s", ",")
WEIGHT = np.array([0, 0, 0, 0, 0, 1, -1, 0, 0, 0], np.float32)
"""What each word says about a sentence."""


def _model(
    nodes: list[onnx.NodeProto],
    inputs: list[onnx.ValueInfoProto],
    outputs: list[onnx.ValueInfoProto],
    constants: dict[str, np.ndarray] | None = None,
    *,
    extended: bool = False,
) -> bytes:
    held = [numpy_helper.from_array(array, name) for name, array in (constants or {}).items()]
    graph = helper.make_graph(nodes, "graph", inputs, outputs, held)
    opsets = [helper.make_opsetid("", 18)] + ([helper.make_opsetid(DOMAIN, 1)] if extended else [])
    made = helper.make_model(graph, opset_imports=opsets, ir_version=10)
    return bytes(made.SerializeToString())


def tokeniser() -> bytes:
    """``text`` [1] to ``ids`` [tokens], sub-words by WordPiece."""
    node = helper.make_node(
        "BertTokenizer",
        ["text"],
        ["ids", "types", "mask"],
        domain=DOMAIN,
        vocab_file="\n".join(WORDS).encode(),
        do_lower_case=1,
    )
    return _model(
        [node],
        [helper.make_tensor_value_info("text", TensorProto.STRING, [1])],
        [helper.make_tensor_value_info("ids", TensorProto.INT64, ["tokens"])],
        extended=True,
    )


def opinion() -> bytes:
    """``ids`` [tokens] to ``score`` [1]: the sum of the words' weights."""
    return _model(
        [
            helper.make_node("Gather", ["weight", "ids"], ["each"]),
            helper.make_node("ReduceSum", ["each"], ["score"], keepdims=1),
        ],
        [helper.make_tensor_value_info("ids", TensorProto.INT64, ["tokens"])],
        [helper.make_tensor_value_info("score", TensorProto.FLOAT, [1])],
        {"weight": WEIGHT},
    )


def verdict() -> bytes:
    """``score`` [1] to ``verdict`` [1], a word."""
    return _model(
        [
            helper.make_node("GreaterOrEqual", ["score", "zero"], ["is_good"]),
            helper.make_node("Cast", ["is_good"], ["at"], to=TensorProto.INT64),
            helper.make_node("Gather", ["labels", "at"], ["verdict"]),
        ],
        [helper.make_tensor_value_info("score", TensorProto.FLOAT, [1])],
        [helper.make_tensor_value_info("verdict", TensorProto.STRING, [1])],
        {"zero": np.zeros(1, np.float32), "labels": np.array(["bad", "good"], object)},
    )


def files() -> dict[str, bytes]:
    """An artifact of three steps: a sentence goes in and a word comes out."""
    steps = {"before.onnx": tokeniser(), "model.onnx": opinion(), "after.onnx": verdict()}
    return {**steps, "pipeline.json": json.dumps({"steps": list(steps)}).encode()}
