"""Fewer bits for the same graph: int8 (calibrated or dynamic), 4-bit weights, half precision."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper
from onnxruntime import quantization

from training.errors import ExportError
from training.export.program import forget_where_it_was_made

Array = NDArray[Any]
INT8, INT8_DYNAMIC, INT4, FP16 = "int8", "int8-dynamic", "int4", "fp16"
QUANTISED = (INT8, INT8_DYNAMIC, INT4, FP16)
BLOCK = 32
"""Weights that share one scale in 4 bits."""
_CALIBRATED_ON = 256


def quantise(parent: Path, how: str, target: Path, *, rows: Array) -> None:
    """Write the graph at ``parent`` as ``how`` says. ``rows`` of the train part calibrate ``int8``.

    Raises ``ExportError`` when nothing in the graph can be written with fewer bits.
    """
    with tempfile.TemporaryDirectory(prefix="switchyard-quantise-") as folder, _quiet():
        prepared = Path(folder) / "prepared.onnx"
        quantization.quant_pre_process(str(parent), str(prepared), skip_symbolic_shape=True)
        made = Path(folder) / "made.onnx"
        match how:
            case "int8":
                _calibrated(prepared, made, rows)
            case "int8-dynamic":
                _dynamic(prepared, made)
            case "int4":
                _four_bits(prepared, made)
            case _:
                _half(prepared, made)
        model = onnx.load(made)
    forget_where_it_was_made(model)
    if _same_operators(onnx.load(parent), model):
        raise ExportError(
            f"nothing in this graph can be written as {how}",
            hint="4 bits need matrices of 32 rows or more; choose another way.",
        )
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(model.SerializeToString(deterministic=True))


class _Rows(quantization.CalibrationDataReader):  # type: ignore[misc]
    def __init__(self, name: str, rows: Array) -> None:
        self._left = iter([{name: rows[start : start + 32]} for start in range(0, len(rows), 32)])

    def get_next(self) -> dict[str, Array] | None:
        return next(self._left, None)


def _calibrated(parent: Path, made: Path, rows: Array) -> None:
    name = onnx.load(parent, load_external_data=False).graph.input[0].name
    quantization.quantize_static(
        parent,
        made,
        _Rows(name, rows[:_CALIBRATED_ON]),
        quant_format=quantization.QuantFormat.QDQ,
        per_channel=True,
        reduce_range=True,
        activation_type=quantization.QuantType.QUInt8,
        weight_type=quantization.QuantType.QInt8,
        op_types_to_quantize=["Conv", "Gemm", "MatMul"],
    )


def _dynamic(parent: Path, made: Path) -> None:
    model = onnx.load(parent)
    matrices_of_their_own(model)
    # Seven bits of a weight: processors without VNNI add two products in 16 bits, and eight overflow them.
    quantization.quantize_dynamic(model, made, weight_type=quantization.QuantType.QInt8, reduce_range=True)


def _four_bits(parent: Path, made: Path) -> None:
    model = onnx.load(parent)
    matrices_of_their_own(model)
    # Imported where it is silenced: it sets up everybody's log.
    from onnxruntime.quantization.matmul_nbits_quantizer import MatMulNBitsQuantizer

    quantiser = MatMulNBitsQuantizer(model, block_size=BLOCK, is_symmetric=True)
    quantiser.process()
    onnx.save(quantiser.model.model, made)


def matrices_of_their_own(model: onnx.ModelProto) -> None:
    """Write each Gemm with a constant matrix as MatMul and Add, which is what 4 bits are known for."""
    weights = {weight.name: weight for weight in model.graph.initializer}
    nodes: list[onnx.NodeProto] = []
    for node in model.graph.node:
        said = {attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute}
        plain = said.get("alpha", 1.0) == said.get("beta", 1.0) == 1.0 and not said.get("transA")
        if node.op_type != "Gemm" or not plain or node.input[1] not in weights:
            nodes.append(node)
            continue
        matrix = numpy_helper.to_array(weights[node.input[1]])
        name = f"{node.input[1]}_matrix"
        turned = np.ascontiguousarray(matrix.T) if said.get("transB") else matrix
        model.graph.initializer.append(numpy_helper.from_array(turned, name))
        product = f"{node.output[0]}_product" if len(node.input) > 2 else node.output[0]
        nodes.append(helper.make_node("MatMul", [node.input[0], name], [product], name=f"{name}_multiplied"))
        if len(node.input) > 2:
            nodes.append(
                helper.make_node("Add", [product, node.input[2]], [node.output[0]], name=f"{name}_added")
            )
    del model.graph.value_info[:]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    used = {name for node in nodes for name in node.input}
    kept = [weight for weight in model.graph.initializer if weight.name in used]
    del model.graph.initializer[:]
    model.graph.initializer.extend(kept)


def _half(parent: Path, made: Path) -> None:
    from onnxruntime.transformers.float16 import convert_float_to_float16

    # What callers send and get stays single precision.
    onnx.save(convert_float_to_float16(onnx.load(parent), keep_io_types=True), made)


def _same_operators(one: onnx.ModelProto, other: onnx.ModelProto) -> bool:
    def kinds(model: onnx.ModelProto) -> set[str]:
        return {node.op_type for node in model.graph.node} - {"MatMul", "Add", "Gemm"}

    return kinds(other) <= kinds(one)


@contextmanager
def _quiet() -> Iterator[None]:
    """The quantiser tells everybody, on the root logger, to run what was just run; its 4 bits give
    the root logger a handler and a level at import."""
    before, handlers, level = logging.root.manager.disable, list(logging.root.handlers), logging.root.level
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)
        logging.root.handlers[:] = handlers
        logging.root.setLevel(level)
