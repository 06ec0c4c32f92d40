"""Tensors between raw bytes and numpy arrays: the binary tensor data extension.

Little-endian, row-major, no padding; a BOOL is one byte, 0 or 1; an element of BYTES is its length as
four bytes followed by that many bytes of UTF-8 text, or any bytes where a model takes files.

Source: github.com/triton-inference-server/server, ``docs/protocol/extension_binary_data.md``.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence

import numpy as np

from functions.protocol.errors import BadRequestError
from functions.protocol.tensors import DTYPES, Array, quoted

_LENGTH = struct.Struct("<I")

_LITTLE = {name: dtype.newbyteorder("<") for name, dtype in DTYPES.items()}


def array_from_binary(
    name: str, datatype: str, shape: Sequence[int], data: memoryview, *, files: bool = False
) -> Array:
    """The array that ``data`` holds, as a view over it wherever the processor can read it in place.

    ``datatype`` and ``shape`` are trusted to be well formed; ``data`` is not trusted at all. NaN and
    infinity pass: unlike JSON, this form has them. Elements of BYTES come as texts, or as bytes if they are
    ``files``.
    """
    if datatype == "BYTES":
        return _elements(name, shape, data, files=files)
    dtype = _LITTLE[datatype]
    expected = math.prod(shape) * dtype.itemsize
    if len(data) != expected:
        raise BadRequestError(
            f"input {quoted(name)} is {datatype} with shape {list(shape)}, which is {expected} bytes, "
            f"and its binary data has {len(data)}"
        )
    array: Array = np.frombuffer(data, np.uint8 if datatype == "BOOL" else dtype)
    if datatype == "BOOL":
        array = _booleans(name, array)
    # A model's code may read several elements with one instruction, which needs them where they belong.
    return (array if array.flags.aligned else array.copy()).reshape(tuple(shape))


def array_of_element(name: str, data: memoryview, *, file: bool) -> Array:
    """BYTES of shape [1] from its element alone, without a length before it."""
    array = np.empty(1, object)
    array[0] = bytes(data) if file else _text(name, 0, data)
    return array


def binary_from_array(array: Array) -> memoryview:
    """The bytes of an array, without a copy where it already lies in row-major order."""
    if array.dtype.kind == "O":
        return memoryview(_lengths_and_texts(array))
    flat = np.ascontiguousarray(array, array.dtype.newbyteorder("<")).reshape(-1)
    return flat.view(np.uint8).data


def _booleans(name: str, array: Array) -> Array:
    if array.size and array.max() > 1:
        position = int(np.flatnonzero(array > 1)[0])
        raise BadRequestError(
            f"input {quoted(name)} is BOOL, and its binary data has a byte {array[position]} "
            f"at position {position}: true is 1 and false is 0"
        )
    return array.view(np.bool_)


def _elements(name: str, shape: Sequence[int], data: memoryview, *, files: bool) -> Array:
    count = math.prod(shape)
    # Before anything is made for them: every element takes four bytes at least.
    if count * _LENGTH.size > len(data):
        raise _wrong_count(name, shape, count)
    found: list[str | bytes] = []
    at = 0
    while at < len(data) and len(found) < count:
        if len(data) - at < _LENGTH.size:
            raise _cut_short(name, len(found))
        (length,) = _LENGTH.unpack_from(data, at)
        at += _LENGTH.size
        if len(data) - at < length:
            raise _cut_short(name, len(found))
        element = data[at : at + length]
        found.append(bytes(element) if files else _text(name, len(found), element))
        at += length
    if len(found) != count or at != len(data):
        raise _wrong_count(name, shape, count)
    array = np.empty(count, object)
    array[:] = found
    return array.reshape(tuple(shape))


def _text(name: str, position: int, data: memoryview) -> str:
    try:
        return str(data, "utf-8")
    except UnicodeDecodeError:
        raise BadRequestError(
            f"input {quoted(name)} has bytes at position {position} that are not UTF-8: "
            "BYTES elements are text here, send other bytes as UINT8"
        ) from None


def _cut_short(name: str, position: int) -> BadRequestError:
    return BadRequestError(
        f"the binary data of input {quoted(name)} end inside the element at position {position}"
    )


def _wrong_count(name: str, shape: Sequence[int], count: int) -> BadRequestError:
    return BadRequestError(
        f"input {quoted(name)} has shape {list(shape)}, which is {count} elements, "
        "and its binary data have another number of them"
    )


def _lengths_and_texts(array: Array) -> bytes:
    parts: list[bytes] = []
    for item in array.reshape(-1):
        text = item if isinstance(item, bytes) else str(item).encode()
        parts += (_LENGTH.pack(len(text)), text)
    return b"".join(parts)
