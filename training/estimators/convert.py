"""A fitted estimator → ONNX by its library's converter, with the tensors that all models here have."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper

from training.errors import ExportError
from training.estimators.libraries import library_of
from training.export.program import BATCH, forget_where_it_was_made

ML_OPSET = 3
"""Of the operators for trees and the like. What the converters write, and every onnxruntime reads."""


MOST_OPSET = 15
"""The newest that onnxmltools 1.16 writes; a graph of trees needs nothing newer."""


def convert(fitted: Any, name: str, path: Path, *, taken: str, width: int, classes: int, opset: int) -> None:
    """Write ``fitted``, an estimator of the class ``name``, to ``path``.

    It takes ``taken``, FP32 ``[batch, width]``, and gives ``label``, INT64, and ``probabilities``, FP32
    ``[batch, classes]``; with no classes ``value``, FP32 ``[batch]``. Raises ``ExportError`` for what the
    converter does not know.
    """
    try:
        with warnings.catch_warnings(), _whole_numbers():
            warnings.simplefilter("ignore")
            proto = _converted(fitted, library_of(name), taken, width, opset, bool(classes))
    except (RuntimeError, NotImplementedError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ExportError(
            f"`{name}` cannot be exported: {str(error).strip().splitlines()[0]}",
            hint="Use an estimator or options that its converter to ONNX knows.",
        ) from error
    # Converters draw the graph's name by chance, and equal models are equal files.
    proto.graph.name = "estimator"
    if not any(one.domain in ("", "ai.onnx") for one in proto.opset_import):
        # A graph of nothing but trees says nothing of the operators that name its outputs.
        proto.opset_import.append(helper.make_opsetid("", opset))
    _dress(proto, taken, width, classes)
    forget_where_it_was_made(proto)
    onnx.checker.check_model(proto, full_check=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(proto.SerializeToString(deterministic=True))


def _converted(
    fitted: Any, library: str, taken: str, width: int, opset: int, classifies: bool
) -> onnx.ModelProto:
    made: onnx.ModelProto
    if library == "scikit-learn":
        from skl2onnx import convert_sklearn
        from skl2onnx.common.data_types import FloatTensorType

        # Without it odds come as a list of dictionaries, which no protocol carries.
        plain = {id(fitted): {"zipmap": False}} if classifies else None
        made = convert_sklearn(
            fitted,
            initial_types=[(taken, FloatTensorType([None, width]))],
            target_opset={"": opset, "ai.onnx.ml": ML_OPSET},
            options=plain,
        )
        return made
    import onnxmltools
    from onnxmltools.convert.common.data_types import FloatTensorType as Floats

    older = min(opset, MOST_OPSET)
    columns = [(taken, Floats([None, width]))]
    if library == "xgboost":
        made = onnxmltools.convert_xgboost(fitted, initial_types=columns, target_opset=older)
    else:
        made = onnxmltools.convert_lightgbm(fitted, initial_types=columns, target_opset=older, zipmap=False)
    return made


@contextmanager
def _whole_numbers() -> Iterator[None]:
    """Let converters write truth values as attributes of whole numbers, which protobuf 7 does not take.

    skl2onnx 1.20 and onnxmltools 1.16 both do that with trees.
    """
    made = helper.make_attribute

    def make_attribute(key: str, value: Any, *more: Any, **named: Any) -> onnx.AttributeProto:
        if isinstance(value, list) and any(isinstance(one, bool | np.bool_) for one in value):
            value = [int(one) for one in value]
        return made(key, value, *more, **named)

    helper.make_attribute = make_attribute
    try:
        yield
    finally:
        helper.make_attribute = made


def _dress(proto: onnx.ModelProto, taken: str, width: int, classes: int) -> None:
    """Name the tensors and their sizes as the torch models of this room do."""
    graph = proto.graph
    given = [output.name for output in graph.output]
    if [one.name for one in graph.input] != [taken]:
        raise ExportError(f"the exported file takes {len(graph.input)} inputs, and one is expected")
    del graph.output[:]
    graph.input[0].CopyFrom(helper.make_tensor_value_info(taken, TensorProto.FLOAT, [BATCH, width]))
    if classes:
        label, odds = given
        _renamed(graph, label, "label", TensorProto.INT64, [BATCH])
        _renamed(graph, odds, "probabilities", TensorProto.FLOAT, [BATCH, classes])
        return
    (value,) = given
    flat = helper.make_tensor("flat_shape", TensorProto.INT64, [1], [-1])
    graph.initializer.append(flat)
    inner = _inner(graph, value, "value")
    graph.node.append(helper.make_node("Reshape", [inner, "flat_shape"], ["value"], name="flat"))
    graph.output.append(helper.make_tensor_value_info("value", TensorProto.FLOAT, [BATCH]))


def _renamed(graph: onnx.GraphProto, before: str, after: str, kind: int, shape: list[str | int]) -> None:
    inner = _inner(graph, before, after)
    graph.node.append(helper.make_node("Identity", [inner], [after], name=f"named_{after}"))
    graph.output.append(helper.make_tensor_value_info(after, kind, shape))


def _inner(graph: onnx.GraphProto, before: str, after: str) -> str:
    """What the converter called ``before``, under a name that is free beside the output's."""
    inner = f"{after}_inside"
    for node in graph.node:
        for names in (node.input, node.output):
            for place, one in enumerate(names):
                if one == before:
                    names[place] = inner
    for value in list(graph.value_info):
        if value.name in (before, after):
            graph.value_info.remove(value)
    return inner
