"""Arrays and the protocol's tensors: names, datatypes, JSON values.

Nothing is cast on the way out: a float64 array is FP64, and a model that takes FP32 says so. On the way
back every tensor becomes a new array of its datatype, in memory of its own; strings come as bytes, which
is what the protocol's BYTES are (``Result.text`` reads them as UTF-8).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from switchyard_client.errors import InputError, UnreadableAnswerError

Array = NDArray[Any]

DTYPES: dict[str, np.dtype[Any]] = {
    "BOOL": np.dtype(np.bool_),
    "UINT8": np.dtype("<u1"),
    "UINT16": np.dtype("<u2"),
    "UINT32": np.dtype("<u4"),
    "UINT64": np.dtype("<u8"),
    "INT8": np.dtype("<i1"),
    "INT16": np.dtype("<i2"),
    "INT32": np.dtype("<i4"),
    "INT64": np.dtype("<i8"),
    "FP16": np.dtype("<f2"),
    "FP32": np.dtype("<f4"),
    "FP64": np.dtype("<f8"),
    "BYTES": np.dtype(object),
}

# By kind and size, because several of numpy's types are the same thing under another name.
_DATATYPES = {(dtype.kind, dtype.itemsize): name for name, dtype in DTYPES.items() if name != "BYTES"}


def datatype_of(name: str, array: object) -> str:
    """The protocol's word for an array's type, or a sentence about why there is none."""
    if not isinstance(array, np.ndarray):
        raise InputError(
            f"input `{name}` is {type(array).__name__}, not a numpy array",
            hint="Write `numpy.asarray(value, dtype=...)` with the type the model takes.",
        )
    if array.dtype.kind in "OUS":
        return "BYTES"
    if array.dtype.name == "bfloat16":  # of ml_dtypes, where that is installed
        return "BF16"
    try:
        return _DATATYPES[array.dtype.kind, array.dtype.itemsize]
    except KeyError:
        raise InputError(
            f"input `{name}` has dtype {array.dtype}, for which the protocol has no datatype",
            hint="Cast it, for example with `.astype(numpy.float32)`.",
        ) from None


def files(*sources: str | Path | bytes) -> Array:
    """An array of whole files for an input that takes those: ``files("cat.jpg", "dog.png")``.

    A path is read, bytes are taken as they are. Raises ``OSError`` for what cannot be read.
    """
    array = np.empty(len(sources), dtype=object)
    array[:] = [source if isinstance(source, bytes) else Path(source).read_bytes() for source in sources]
    return array


def elements(name: str, array: Array) -> list[bytes]:
    """The elements of a BYTES array in row-major order."""
    return [_bytes(name, position, value) for position, value in enumerate(array.reshape(-1).tolist())]


def _bytes(name: str, position: int, value: object) -> bytes:
    if isinstance(value, bytes):
        return value
    if isinstance(value, str):
        try:
            return value.encode()
        except UnicodeEncodeError:
            raise InputError(
                f"input `{name}` has a string at position {position} that UTF-8 cannot write"
            ) from None
    raise InputError(
        f"input `{name}` has {type(value).__name__} at position {position}, and BYTES takes strings or bytes",
        hint="Give an array of one type.",
    )


def json_values(name: str, datatype: str, array: Array) -> list[Any]:
    """``data`` as JSON writes it: flat, in row-major order.

    Raises ``InputError`` for what JSON cannot say: NaN, infinity, bytes that are not UTF-8.
    """
    if datatype == "BYTES":
        return [_text(name, position, value) for position, value in enumerate(elements(name, array))]
    if datatype == "BF16":
        array = array.astype(np.float32)
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise InputError(f"input `{name}` has NaN or infinity, and JSON has no such number", hint=_BINARY)
    values: list[Any] = array.reshape(-1).tolist()
    return values


_BINARY = "A server with the binary tensor extension can be sent it: leave `binary` as it is."


def _text(name: str, position: int, value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        raise InputError(
            f"input `{name}` has bytes at position {position} that are not UTF-8, and JSON carries text only",
            hint="Send bytes that are no text as UINT8, or through a server with binary tensors.",
        ) from None


def raw_bytes(name: str, datatype: str, array: Array) -> bytes | memoryview:
    """The tensor as the binary extension carries it: little-endian, row-major, nothing in between.

    An array that lies in memory that way already is not copied.
    """
    if datatype == "BYTES":
        return b"".join(len(value).to_bytes(4, "little") + value for value in elements(name, array))
    if datatype != "BF16":
        array = array.astype(DTYPES[datatype], copy=False)
    if array.size == 0:
        return b""
    return np.ascontiguousarray(array).reshape(-1).view(np.uint8).data


def array_from_json(name: str, datatype: str, shape: Sequence[int], data: object) -> Array:
    """The array that an answer's JSON ``data`` describes."""
    try:
        if datatype == "BYTES":
            return _objects(_flat(data), shape)
        dtype = np.dtype(np.float32) if datatype == "BF16" else DTYPES[datatype]
        return np.array(_listed(data), dtype=dtype).reshape(tuple(shape))
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise UnreadableAnswerError(f"output `{name}` is not {datatype} of shape {list(shape)}") from error


def _flat(data: object) -> list[bytes]:
    if isinstance(data, str):
        return [data.encode()]
    return [value for item in _listed(data) for value in _flat(item)]


def _listed(data: object) -> list[Any]:
    if isinstance(data, list):
        return data
    raise TypeError(type(data))


def _objects(values: list[bytes], shape: Sequence[int]) -> Array:
    # Filled one by one: numpy would make one two-dimensional array of a list of equal strings' bytes.
    array = np.empty(len(values), dtype=object)
    array[:] = values
    return array.reshape(tuple(shape))


def array_from_bytes(name: str, datatype: str, shape: Sequence[int], data: memoryview) -> Array:
    """The array that an answer's binary data holds."""
    if datatype == "BYTES":
        values = _split(name, data)
        if len(values) != math.prod(shape):
            raise UnreadableAnswerError(f"output `{name}` has {len(values)} elements, not {list(shape)}")
        return _objects(values, shape)
    if datatype == "BF16":
        # numpy has no bfloat16; as the upper half of a float32 it loses nothing.
        halves = _numbers(name, np.dtype("<u2"), shape, data)
        return (halves.astype(np.uint32) << 16).view(np.float32)
    if datatype not in DTYPES:
        raise UnreadableAnswerError(f"output `{name}` has the unknown datatype `{datatype}`")
    return _numbers(name, DTYPES[datatype], shape, data).copy()


def _numbers(name: str, dtype: np.dtype[Any], shape: Sequence[int], data: memoryview) -> Array:
    if len(data) != math.prod(shape) * dtype.itemsize:
        raise UnreadableAnswerError(f"output `{name}` has {len(data)} bytes, which are not {list(shape)}")
    return np.frombuffer(data, dtype=dtype).reshape(tuple(shape))


def _split(name: str, data: memoryview) -> list[bytes]:
    values: list[bytes] = []
    at = 0
    while at < len(data):
        size = int.from_bytes(data[at : at + 4], "little")
        if at + 4 + size > len(data):
            raise UnreadableAnswerError(f"output `{name}` ends in the middle of an element")
        values.append(bytes(data[at + 4 : at + 4 + size]))
        at += 4 + size
    return values
