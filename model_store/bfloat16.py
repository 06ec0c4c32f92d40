"""Run a graph that takes or gives BF16, which numpy does not have, on arrays of FP32.

What goes in is rounded to BF16 as the functions do it; what comes out is FP32 and loses nothing.
"""

from __future__ import annotations

import ctypes
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from model_store.contract.errors import InvalidArtifactError
from model_store.contract.pipeline import Session

NODE_TYPE = "tensor(bfloat16)"

_ONNX_TYPE = 16
"""``TensorProto.BFLOAT16``."""


def in_floats(session: onnxruntime.InferenceSession) -> Session:
    """``session`` as it is, or with FP32 in place of BF16."""
    edge = (*session.get_inputs(), *session.get_outputs())
    return _InFloats(session) if any(node.type == NODE_TYPE for node in edge) else session


class _InFloats:
    """A session whose BF16 inputs are given, and whose BF16 outputs come, as FP32.

    onnxruntime gives BF16 outputs only where every input is a value of its own kind, and makes none of
    strings. So a graph that takes strings and gives BF16 is refused.
    """

    def __init__(self, session: onnxruntime.InferenceSession) -> None:
        self._session = session
        self._halves = {node.name for node in session.get_inputs() if node.type == NODE_TYPE}
        self._outputs = [node.name for node in session.get_outputs()]
        self._gives = any(node.type == NODE_TYPE for node in session.get_outputs())
        if self._gives and any(node.type == "tensor(string)" for node in session.get_inputs()):
            raise InvalidArtifactError(
                "the model takes strings and gives BF16, which onnxruntime's Python cannot run",
                hint="Cast its outputs to FP32 in the graph.",
            )

    def run(
        self, output_names: Sequence[str] | None, input_feed: Mapping[str, Any], run_options: Any = None
    ) -> list[Any]:
        halves = {name: _half(np.asarray(input_feed[name])) for name in self._halves}
        if not self._gives:
            return list(self._session.run(output_names, {**input_feed, **halves}, run_options))
        others = {
            name: onnxruntime.OrtValue.ortvalue_from_numpy(array)
            for name, array in input_feed.items()
            if name not in halves
        }
        names = self._outputs if output_names is None else list(output_names)
        found = self._session.run_with_ort_values(names, {**others, **halves}, run_options)
        return [_array(value) for value in found]


def _half(array: NDArray[Any]) -> onnxruntime.OrtValue:
    """FP32 rounded to the nearest BF16, halfway to the even one. A sample holds finite values only."""
    bits = np.ascontiguousarray(array, np.float32).view(np.uint32)
    rounded = ((bits + (((bits >> 16) & 1) + 0x7FFF)) >> 16).astype(np.uint16)
    return onnxruntime.OrtValue.ortvalue_from_numpy_with_onnx_type(rounded, _ONNX_TYPE)


def _array(value: onnxruntime.OrtValue) -> NDArray[Any]:
    """A copy: the value's own memory goes with it."""
    if value.data_type() != NODE_TYPE:
        return np.array(value.numpy())
    shape, count = value.shape(), math.prod(value.shape())
    if not count:
        return np.empty(shape, np.float32)
    bits = np.frombuffer((ctypes.c_uint16 * count).from_address(value.data_ptr()), np.uint16)
    return (bits.astype(np.uint32) << 16).view(np.float32).reshape(shape)
