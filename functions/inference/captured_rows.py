"""A request and its answer, as Lambda carried them, as rows to keep.

Standard library and orjson only: a gateway, which has no arrays, keeps rows too. Nothing here judges: the
request was answered with 200, so both halves are what the protocol says, and what cannot be read is lost.
"""

from __future__ import annotations

import hashlib
import math
import struct
import sys
from array import array
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import orjson

from functions.protocol.carried import from_base64
from functions.protocol.headers import json_length
from model_store.contract.capture import (
    AT,
    ID,
    INPUT_PREFIX,
    MOST_ROWS,
    OUTPUT_PREFIX,
    REQUEST_ID,
    ROW,
    CaptureSettings,
    hashed,
)
from model_store.contract.manifest import Manifest
from model_store.contract.parquet import DOUBLE, FLOAT, INTEGER, TEXT, TIME, Column
from model_store.contract.tensors import TensorSpec

Half = Mapping[str, Any]
Tensors = dict[str, tuple[list[int], Sequence[Any]]]
"""Shape and flat values by name."""

_KINDS = {"FP16": FLOAT, "BF16": FLOAT, "FP32": FLOAT, "FP64": DOUBLE, "BYTES": TEXT}
_CODES = {
    "BOOL": "B",
    "UINT8": "B",
    "UINT16": "H",
    "UINT32": "I",
    "UINT64": "Q",
    "INT8": "b",
    "INT16": "h",
    "INT32": "i",
    "INT64": "q",
    "FP32": "f",
    "FP64": "d",
}
_LARGEST = 2**63 - 1


class Rows:
    """Makes rows of one version's requests, in the columns that its manifest and the catalog name."""

    def __init__(self, manifest: Manifest, settings: CaptureSettings) -> None:
        """Raises ``ValueError`` where the catalog names a tensor that the version has not.

        What was to be dropped would be kept under its real name.
        """
        self._settings = settings
        self._model = manifest.model
        self._sides = ((INPUT_PREFIX, manifest.inputs), (OUTPUT_PREFIX, manifest.outputs))
        self._pictures = manifest.pictures
        known = {spec.name for _, specs in self._sides for spec in specs}
        unknown = {*settings.drop, *settings.hash} - known - {ID}
        if unknown:
            raise ValueError(f"`capture` names {sorted(unknown)}, which {manifest.ref} has not")
        self.columns = tuple(self._columns())

    def _columns(self) -> list[Column]:
        columns = [Column(REQUEST_ID, TEXT), Column(ID, TEXT), Column(ROW, INTEGER), Column(AT, TIME)]
        for prefix, specs in self._sides:
            for spec in specs:
                if spec.name not in self._settings.drop:
                    kind = TEXT if spec.name in self._settings.hash else _KINDS.get(spec.datatype, INTEGER)
                    columns.append(Column(prefix + spec.name, kind, lists=True))
        return columns

    def of(self, request: Half, answer: Half, *, request_id: str, at_ms: int) -> list[tuple[Any, ...]]:
        """The rows of one request, a value for each of ``columns``; raises if either half cannot be read.

        An output that was not asked for is an empty list.
        """
        asked, inputs = self._asked(request)
        _, outputs = _tensors(*_content(answer), "outputs")
        count = self._count(inputs)
        kept = [at * count // MOST_ROWS for at in range(MOST_ROWS)] if count > MOST_ROWS else range(count)
        own = "" if ID in self._settings.drop else str(asked.get("id") or "")
        cells = [
            self._cells(spec, (inputs if prefix == INPUT_PREFIX else outputs).get(spec.name), count, kept)
            for prefix, specs in self._sides
            for spec in specs
            if spec.name not in self._settings.drop
        ]
        return [
            (request_id, own, row, at_ms, *(column[place] for column in cells))
            for place, row in enumerate(kept)
        ]

    def _asked(self, request: Half) -> tuple[dict[str, Any], Tensors]:
        """A request and its inputs; of the file of a picture its sha256, which is no picture of anybody."""
        content, length = _content(request)
        if length == 0 and self._pictures:
            (name,) = (spec.name for spec in self._sides[0][1])
            return {}, {name: ([1], [hashlib.sha256(content).hexdigest()])}
        return _tensors(content, length, "inputs", self._pictures)

    def _count(self, inputs: Tensors) -> int:
        """How many rows were asked about: the size that a request chooses first, or one."""
        for spec in self._sides[0][1]:
            if _is_by_row(spec) and spec.name in inputs:
                return inputs[spec.name][0][0]
        return 1

    def _cells(
        self,
        spec: TensorSpec,
        tensor: tuple[list[int], Sequence[Any]] | None,
        count: int,
        kept: Sequence[int],
    ) -> list[list[Any]]:
        """The values of one tensor for each kept row. One that is not by row stands in the first."""
        if tensor is None:
            return [[] for _ in kept]
        shape, values = tensor
        if _is_by_row(spec) and shape[:1] == [count]:
            width = math.prod(shape[1:])
            cells = [list(values[row * width : (row + 1) * width]) for row in kept]
        else:
            cells = [list(values) if not row else [] for row in kept]
        if spec.name in self._settings.hash:
            return [[hashed(self._model, value) for value in cell] for cell in cells]
        return cells


def _is_by_row(spec: TensorSpec) -> bool:
    return bool(spec.shape) and isinstance(spec.shape[0], str)


def _content(half: Half) -> tuple[bytes, int | None]:
    """The body of a half, and how much of it is JSON if not all is."""
    body = half.get("body") or ""
    content = from_base64(body) if half.get("isBase64Encoded") else str(body).encode()
    return content, json_length((half.get("headers") or {}).items())


def _tensors(
    content: bytes, length: int | None, side: str, pictures: frozenset[str] = frozenset()
) -> tuple[dict[str, Any], Tensors]:
    """What a half says besides, and its tensors."""
    document = orjson.loads(content if length is None else content[:length])
    rest = memoryview(content)[length or 0 :]
    found: Tensors = {}
    at = 0
    for tensor in document[side]:
        size = (tensor.get("parameters") or {}).get("binary_data_size")
        datatype, shape = tensor["datatype"], tensor["shape"]
        values: list[Any]
        if size is not None:
            data = bytes(rest[at : at + size])
            values = _elements(data) if tensor["name"] in pictures else _from_binary(datatype, data)
            at += size
        elif tensor["name"] in pictures:
            values = [from_base64(text) for text in _flat(tensor["data"])]
        else:
            values = _converted(datatype)(_flat(tensor["data"]))
        if tensor["name"] in pictures:
            values = [hashlib.sha256(file).hexdigest() for file in values]
        found[tensor["name"]] = (shape, values)
    return document, found


def _flat(data: Any) -> list[Any]:
    if data and isinstance(data[0], list):
        return [value for item in data for value in _flat(item)]
    return list(data)


def _converted(datatype: str) -> Callable[[list[Any]], list[Any]]:
    """JSON's values as the column holds them."""
    if datatype == "BYTES":
        return lambda values: [str(value) for value in values]
    if datatype in _KINDS:
        return lambda values: [math.nan if value is None else float(value) for value in values]
    return lambda values: [min(int(value), _LARGEST) for value in values]


def _from_binary(datatype: str, data: bytes) -> list[Any]:
    """Little-endian values of the protocol's binary extension."""
    if datatype == "BYTES":
        return [element.decode("utf-8", "replace") for element in _elements(data)]
    if datatype == "FP16":
        return list(struct.unpack(f"<{len(data) // 2}e", data))
    if datatype == "BF16":
        halves = struct.unpack(f"<{len(data) // 2}H", data)
        packed = struct.pack(f"<{len(halves)}I", *(half << 16 for half in halves))
        return list(struct.unpack(f"<{len(halves)}f", packed))
    values = array(_CODES[datatype])
    values.frombytes(data)
    if sys.byteorder == "big":
        values.byteswap()
    return [min(value, _LARGEST) for value in values] if datatype == "UINT64" else values.tolist()


def _elements(data: bytes) -> list[bytes]:
    """What BYTES are made of: each a length and so many bytes."""
    found, at = [], 0
    while at < len(data):
        (length,) = struct.unpack_from("<I", data, at)
        found.append(data[at + 4 : at + 4 + length])
        at += 4 + length
    return found
