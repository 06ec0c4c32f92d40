"""Tensors between JSON values and numpy arrays.

Nothing is rounded, wrapped or guessed in silence: a value that its datatype cannot hold is refused
with its position. (A decimal fraction that a float type can only come near to is the one exception:
that is what float types are.)
"""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np

from functions.protocol.errors import BadRequestError, UnwritableOutputError
from functions.protocol.words import kind as kind
from functions.protocol.words import quoted as quoted
from model_store.contract.tensors import TensorData

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Array = NDArray[Any]
else:
    Array = np.ndarray

BFLOAT16: np.dtype[Any] = np.dtype([("bfloat16", np.uint16)], align=True)
"""BF16 as numpy can hold it: the upper half of an FP32, as bits. Nothing computes with it here."""

DTYPES: dict[str, np.dtype[Any]] = {
    "BOOL": np.dtype(np.bool_),
    "UINT8": np.dtype(np.uint8),
    "UINT16": np.dtype(np.uint16),
    "UINT32": np.dtype(np.uint32),
    "UINT64": np.dtype(np.uint64),
    "INT8": np.dtype(np.int8),
    "INT16": np.dtype(np.int16),
    "INT32": np.dtype(np.int32),
    "INT64": np.dtype(np.int64),
    "FP16": np.dtype(np.float16),
    "BF16": BFLOAT16,
    "FP32": np.dtype(np.float32),
    "FP64": np.dtype(np.float64),
    "BYTES": np.dtype(object),
}
"""The protocol's datatypes as numpy has them. BYTES elements are strings, the only kind JSON carries."""

DATATYPES = {dtype: datatype for datatype, dtype in DTYPES.items()}

MAX_ELEMENTS = 1 << 31
"""More elements than any payload holds. Keeps products of sizes within what numpy can count."""

_EXACT = 1 << 53
"""Up to here every integer survives being read as a float."""

_CODES = {
    "UINT8": "B", "UINT16": "H", "UINT32": "I", "UINT64": "Q",
    "INT8": "b", "INT16": "h", "INT32": "i", "INT64": "q",
    "FP16": "e", "FP32": "f", "FP64": "d",
}  # fmt: skip
"""How ``struct`` writes a datatype in the processor's own way, which is numpy's."""

_FRACTIONS = {2: (np.uint16, (1 << 10) - 1), 4: (np.uint32, (1 << 23) - 1), 8: (np.uint64, (1 << 52) - 1)}
"""By a float's bytes: its bits as an integer, and those of its fraction. Source: IEEE 754, binary formats."""

_NUMBER_KINDS = frozenset({int, float})


def array_from_json(name: str, datatype: str, shape: Sequence[int], data: Sequence[Any]) -> Array:
    """Build the array that ``data``, flat or nested in row-major order, describes.

    ``datatype`` and ``shape`` are trusted to be well formed; ``data`` is not trusted at all.
    """
    values = _flattened(name, shape, data)
    if (quick := _quick(datatype, values)) is not None:
        return quick.reshape(shape)
    kinds = frozenset(map(type, values))
    dtype = DTYPES[datatype]
    if dtype.kind == "f":
        array = _floats(name, datatype, values, kinds)
    elif datatype == "BF16":
        array = _bfloat16(name, values, kinds)
    elif dtype.kind in "iu":
        array = _integers(name, datatype, values, kinds)
    else:
        _only(name, datatype, values, kinds, frozenset({bool if datatype == "BOOL" else str}))
        array = np.array(values, dtype=dtype)
    return array.reshape(shape)


def _quick(datatype: str, values: Sequence[Any]) -> Array | None:
    """The array of ``values`` if nothing is wrong with any; ``None`` leaves it to those who say what is.

    ``struct`` reads a list of numbers three times as fast as numpy, and refuses what does not fit. It takes
    a boolean for a number, and makes an infinity of what FP32 cannot hold: so where 0, 1 or an infinity may
    have come out, somebody has to look at what went in.
    """
    code = _CODES.get(datatype)
    if code is None:
        return None
    try:
        packed = struct.pack(f"{len(values)}{code}", *values)
    except (struct.error, OverflowError):
        return None
    array: Array = np.frombuffer(packed, DTYPES[datatype])
    if _suspicious(packed, array) and (bool in map(type, values) or not np.isfinite(array).all()):
        return None
    return array


def _suspicious(packed: bytes, array: Array) -> bool:
    """Whether 0, 1 or an infinity may be among the numbers.

    Those, and the powers of two, have no bit set in a float's fraction: nothing overflows in looking there.
    """
    if array.dtype.kind == "f":
        bits, fraction = _FRACTIONS[array.dtype.itemsize]
        left = np.frombuffer(packed, bits) & fraction
    else:
        left = array >> 1
    return int(np.count_nonzero(left)) < left.size


def array_from_tensor(tensor: TensorData) -> Array:
    """The array that a manifest's tensor holds."""
    return array_from_json(tensor.name, tensor.datatype, tensor.shape, tensor.data)


def json_from_array(name: str, array: Array) -> dict[str, Any]:
    """Describe an array as the protocol's output tensor, flat in row-major order.

    Numeric data stay a numpy array: orjson writes those itself, without a Python object per element.
    """
    datatype = DATATYPES[array.dtype]
    if datatype == "BF16":
        array = floats_from_bfloat16(array)
    if array.dtype.kind == "f" and np.count_nonzero(np.isfinite(array)) < array.size:
        raise UnwritableOutputError(_not_finite(name, array))
    flat = array.ravel()
    return {
        "name": name,
        "datatype": datatype,
        "shape": list(array.shape),
        "data": flat.tolist() if array.dtype.kind == "O" else flat,
    }


def bfloat16_from_floats(array: Array) -> Array:
    """FP32 rounded to BF16, to the nearest and halfway to the even one; what is too large is infinite."""
    bits = np.ascontiguousarray(array, np.float32).view(np.uint32)
    rounded = (bits + (((bits >> 16) & 1) + 0x7FFF)) >> 16
    # The bits of a NaN may all lie in the half that goes: it would come out as an infinity.
    kept = np.where(np.isnan(array), (bits >> 16) | 0x40, rounded)
    return kept.astype(np.uint16).view(BFLOAT16).reshape(array.shape)


def floats_from_bfloat16(array: Array) -> Array:
    """BF16 as FP32, which loses nothing."""
    bits = np.ascontiguousarray(array).view(np.uint16).astype(np.uint32) << 16
    return bits.view(np.float32).reshape(array.shape)


def _not_finite(name: str, array: Array) -> str:
    position = int(np.flatnonzero(~np.isfinite(array))[0])
    value = "NaN" if np.isnan(array.reshape(-1)[position]) else "infinity"
    return (
        f"the model answered {value} in output {quoted(name)} at position {position}, "
        "and JSON has no such number"
    )


def _flattened(name: str, shape: Sequence[int], data: Sequence[Any]) -> Sequence[Any]:
    level = data
    if data and type(data[0]) is list:
        level = _unnested(name, shape, data)
    expected = math.prod(shape)
    if len(level) != expected:
        raise BadRequestError(
            f"input {quoted(name)} has shape {list(shape)}, which is {expected} elements, "
            f"and its `data` has {len(level)}"
        )
    return level


def _unnested(name: str, shape: Sequence[int], data: Sequence[Any]) -> list[Any]:
    level = list(data)
    for depth, size in enumerate(shape):
        if depth > 0:
            if any(type(item) is not list or len(item) != size for item in level):
                raise _badly_nested(name, shape)
            level = list(chain.from_iterable(level))
        elif len(level) != size:
            raise _badly_nested(name, shape)
    if level and type(level[0]) is list:
        raise _badly_nested(name, shape)
    return level


def _badly_nested(name: str, shape: Sequence[int]) -> BadRequestError:
    return BadRequestError(
        f"the lists in `data` of input {quoted(name)} do not nest as its shape {list(shape)} says: "
        "`data` is either flat or has one level of lists per dimension"
    )


def _only(
    name: str, datatype: str, values: Sequence[Any], kinds: frozenset[type], allowed: frozenset[type]
) -> None:
    """Refuse the first value of a wrong JSON type. A boolean is not a number here, though Python says so."""
    if kinds <= allowed:
        return
    position = next(i for i, value in enumerate(values) if type(value) not in allowed)
    raise BadRequestError(
        f"input {quoted(name)} is {datatype} and takes {_plural(allowed)}, "
        f"and its `data` has {kind(values[position])} at position {position}"
    )


def _plural(allowed: frozenset[type]) -> str:
    return "numbers" if int in allowed else "booleans" if bool in allowed else "strings"


def _floats(name: str, datatype: str, values: Sequence[Any], kinds: frozenset[type]) -> Array:
    _only(name, datatype, values, kinds, _NUMBER_KINDS)
    dtype = DTYPES[datatype]
    with np.errstate(over="ignore"):
        array = np.array(values, dtype=dtype)
    # JSON cannot say infinity, so an infinity here is a number that did not fit.
    if not np.isfinite(array).all():
        position = int(np.flatnonzero(~np.isfinite(array))[0])
        raise BadRequestError(
            f"input {quoted(name)} has {values[position]!r} at position {position}, "
            f"which is beyond {datatype} (largest {np.finfo(dtype).max})"
        )
    return array


def _bfloat16(name: str, values: Sequence[Any], kinds: frozenset[type]) -> Array:
    floats = _floats(name, "FP32", values, kinds)
    with np.errstate(over="ignore"):
        array = bfloat16_from_floats(floats)
    finite = np.isfinite(floats_from_bfloat16(array))
    if not finite.all():
        position = int(np.flatnonzero(~finite)[0])
        raise BadRequestError(
            f"input {quoted(name)} has {values[position]!r} at position {position}, "
            "which is beyond BF16 (largest 3.3895313892515355e+38)"
        )
    return array


def _integers(name: str, datatype: str, values: Sequence[Any], kinds: frozenset[type]) -> Array:
    _only(name, datatype, values, kinds, _NUMBER_KINDS)
    dtype = DTYPES[datatype]
    if float in kinds:
        values = [_whole(name, datatype, position, value) for position, value in enumerate(values)]
    try:
        return np.array(values, dtype=dtype)
    except OverflowError:
        limits = np.iinfo(dtype)
        position = next(i for i, value in enumerate(values) if not limits.min <= value <= limits.max)
        raise _out_of_range(name, datatype, position, values[position]) from None


def _whole(name: str, datatype: str, position: int, value: float) -> int:
    """Read ``3.0`` as 3: JSON knows one kind of number, and some languages write every one that way."""
    if not float(value).is_integer():
        raise BadRequestError(
            f"input {quoted(name)} is {datatype} and takes whole numbers, "
            f"and its `data` has {value!r} at position {position}"
        )
    limits = np.iinfo(DTYPES[datatype])
    if not limits.min <= value <= limits.max:
        raise _out_of_range(name, datatype, position, value)
    if type(value) is float and abs(value) > _EXACT:
        raise BadRequestError(
            f"input {quoted(name)} has {value!r} at position {position}, which is too large to be exact "
            f"when written with a fraction or an exponent: write it as a plain integer"
        )
    return int(value)


def _out_of_range(name: str, datatype: str, position: int, value: float) -> BadRequestError:
    limits = np.iinfo(DTYPES[datatype])
    return BadRequestError(
        f"input {quoted(name)} has {value!r} at position {position}, "
        f"which {datatype} cannot hold ({limits.min} to {limits.max})"
    )
