"""Give the digits model a step before it and one after: pictures in, words out.

    python -m examples.digits.steps build/digits-with-steps
    yard publish digits build/digits-with-steps
    python -m examples.digits.steps build/digits-of-files --files

``before.onnx`` takes grey pictures of any size, one byte per pixel and bright on dark, and makes of them
what the model takes; ``after.onnx`` makes words of its labels. All three are ONNX graphs, so publishing
runs the whole chain for the golden sample, and no Python travels with the model.

With ``--files`` callers send the files themselves, JPEG or PNG of any size: a picture step, which is data,
makes of them what ``before.onnx`` then takes.
"""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

HERE = Path(__file__).parent
SIDE = 8
BRIGHTEST = 16.0
"""The model learned from pixels between 0 and 16."""

WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
OPSETS = (helper.make_opsetid("", 18), helper.make_opsetid("ai.onnx.ml", 3))


def before() -> onnx.ModelProto:
    """``pixels`` UINT8 [batch, height, width] to ``image`` FP32 [batch, 64]."""
    nodes = [
        helper.make_node("Cast", ["pixels"], ["bytes"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["bytes", "scale"], ["bright"]),
        helper.make_node("Unsqueeze", ["bright", "channel"], ["pictures"]),
        helper.make_node(
            "Resize", ["pictures", "", "", "size"], ["small"], axes=[2, 3], mode="linear", antialias=1
        ),
        helper.make_node("Reshape", ["small", "flat"], ["image"]),
    ]
    constants: dict[str, np.ndarray] = {
        "scale": np.array(BRIGHTEST / 255, np.float32),
        "channel": np.array([1], np.int64),
        "size": np.array([SIDE, SIDE], np.int64),
        "flat": np.array([-1, SIDE * SIDE], np.int64),
    }
    pixels = helper.make_tensor_value_info("pixels", TensorProto.UINT8, ["batch", "height", "width"])
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, ["batch", SIDE * SIDE])
    return _model("before", nodes, pixels, image, constants)


def scaled() -> onnx.ModelProto:
    """``pixels`` UINT8 [batch, 8, 8, 1], as a picture step makes them, to ``image`` FP32 [batch, 64]."""
    nodes = [
        helper.make_node("Cast", ["pixels"], ["bytes"], to=TensorProto.FLOAT),
        helper.make_node("Mul", ["bytes", "scale"], ["bright"]),
        helper.make_node("Reshape", ["bright", "flat"], ["image"]),
    ]
    constants: dict[str, np.ndarray] = {
        "scale": np.array(BRIGHTEST / 255, np.float32),
        "flat": np.array([-1, SIDE * SIDE], np.int64),
    }
    pixels = helper.make_tensor_value_info("pixels", TensorProto.UINT8, ["batch", SIDE, SIDE, 1])
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, ["batch", SIDE * SIDE])
    return _model("before", nodes, pixels, image, constants)


def after() -> onnx.ModelProto:
    """``label`` INT64 [batch] to ``digit`` BYTES [batch]."""
    node = helper.make_node(
        "LabelEncoder",
        ["label"],
        ["digit"],
        domain="ai.onnx.ml",
        keys_int64s=list(range(len(WORDS))),
        values_strings=list(WORDS),
    )
    label = helper.make_tensor_value_info("label", TensorProto.INT64, ["batch"])
    digit = helper.make_tensor_value_info("digit", TensorProto.STRING, ["batch"])
    return _model("after", [node], label, digit, {})


READ: dict[str, object] = {
    "picture": "file",
    "gives": "pixels",
    "size": [SIDE, SIDE],
    "mode": "L",
    "resample": "box",
}
"""A file to the pixels that ``scaled`` takes: grey, each the mean of what it covers."""


def build(folder: Path, *, model: Path = HERE / "v1" / "model.onnx", files: bool = False) -> Path:
    """Write the artifact with its three graphs into ``folder``, and return it. Safe to repeat.

    With ``files`` it takes pictures as files, else as bytes per pixel.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "before.onnx").write_bytes((scaled() if files else before()).SerializeToString())
    shutil.copyfile(model, folder / "model.onnx")
    (folder / "after.onnx").write_bytes(after().SerializeToString())
    graphs = ["before.onnx", "model.onnx", "after.onnx"]
    steps = {"steps": [READ, *graphs] if files else graphs}
    (folder / "pipeline.json").write_text(json.dumps(steps) + "\n", "utf-8")
    return folder


def _model(
    name: str,
    nodes: list[onnx.NodeProto],
    takes: onnx.ValueInfoProto,
    gives: onnx.ValueInfoProto,
    constants: dict[str, np.ndarray],
) -> onnx.ModelProto:
    initializers = [numpy_helper.from_array(array, name) for name, array in constants.items()]
    graph = helper.make_graph(nodes, name, [takes], [gives], initializers)
    made = helper.make_model(graph, opset_imports=list(OPSETS), ir_version=10, producer_name="switchyard")
    onnx.checker.check_model(made)
    return made


if __name__ == "__main__":
    print(build(Path(sys.argv[1]), files="--files" in sys.argv[2:]))
