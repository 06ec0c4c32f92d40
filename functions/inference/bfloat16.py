"""A session whose graph takes or gives BF16, which numpy does not have.

Arrays of ``BFLOAT16`` go in and come out; onnxruntime is handed their 16 bits as they are. Few models have
such tensors at their edge, so the others do not import this.
"""

from __future__ import annotations

import ctypes
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnxruntime as ort

from functions.protocol.tensors import BFLOAT16, Array
from model_store.contract.errors import InvalidArtifactError

NODE_TYPE = "tensor(bfloat16)"

_ONNX_TYPE = 16
"""``TensorProto.BFLOAT16``."""


class Bfloat16Session:
    """What runs one graph, with BF16 in arrays of ``BFLOAT16``.

    onnxruntime gives BF16 outputs only where every input is a value of its own kind, and makes none of
    strings. So a graph that takes strings and gives BF16 is refused, here as at publish.
    """

    def __init__(self, session: ort.InferenceSession) -> None:
        self._session = session
        self._outputs = [node.name for node in session.get_outputs()]
        self._gives = any(node.type == NODE_TYPE for node in session.get_outputs())
        if self._gives and any(node.type == "tensor(string)" for node in session.get_inputs()):
            raise InvalidArtifactError("the model takes strings and gives BF16, which cannot be run")

    def __getattr__(self, name: str) -> Any:
        return getattr(self._session, name)

    def run(
        self, output_names: Sequence[str] | None, input_feed: Mapping[str, Array], run_options: Any = None
    ) -> list[Any]:
        if not self._gives:
            feed = {
                name: _value(array) if array.dtype == BFLOAT16 else array
                for name, array in input_feed.items()
            }
            return list(self._session.run(output_names, feed, run_options))
        values = {name: _value(array) for name, array in input_feed.items()}
        names = self._outputs if output_names is None else list(output_names)
        return [_array(value) for value in self._session.run_with_ort_values(names, values, run_options)]


def _value(array: Array) -> ort.OrtValue:
    if array.dtype != BFLOAT16:
        return ort.OrtValue.ortvalue_from_numpy(array)
    bits = np.ascontiguousarray(array).view(np.uint16)
    return ort.OrtValue.ortvalue_from_numpy_with_onnx_type(bits, _ONNX_TYPE)


def _array(value: ort.OrtValue) -> Array:
    """A copy: the value's own memory goes with it."""
    if value.data_type() != NODE_TYPE:
        return np.array(value.numpy())
    shape = value.shape()
    count = math.prod(shape)
    if not count:
        return np.empty(shape, BFLOAT16)
    bits = (ctypes.c_uint16 * count).from_address(value.data_ptr())
    return np.frombuffer(bits, BFLOAT16).reshape(shape).copy()
