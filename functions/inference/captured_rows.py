"""A request and its answer, as they were carried, as rows to keep.

Standard library and orjson only: a gateway, which has no arrays, keeps rows too. Nothing here judges: the
request was answered, so both halves are what the protocol says, and what cannot be read is lost. Of a large
request only the rows that are kept are ever unpacked.
"""

from __future__ import annotations

import hashlib
import math
import struct
import sys
from array import array
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import orjson

from functions.protocol.carried import from_base64
from functions.protocol.headers import json_length
from model_store.contract.capture import (
    ALIAS,
    AT,
    ID,
    INPUT_PREFIX,
    MOST_ROWS,
    OUTPUT_PREFIX,
    REQUEST_ID,
    ROW,
    WHOLE_ANSWER,
    WHOLE_REQUEST,
    CaptureSettings,
    hashed,
)
from model_store.contract.manifest import Manifest
from model_store.contract.parquet import DOUBLE, FLOAT, INTEGER, TEXT, TIME, Column
from model_store.contract.tensors import TensorSpec

MOST_TEXT_BYTES = 1_000_000
"""JSON and texts that are longer are not read: it would keep the processor from the next request."""

MOST_ELEMENTS = 262_144
"""So many values of one request are kept, in as many of its rows as have them: 1 MB of FP32."""


_BESIDE = 5
"""Columns that stand before the tensors."""


class Half(NamedTuple):
    """A request or an answer by its content; ``json_length`` is set when binary data follow the JSON."""

    content: bytes | str
    json_length: int | None = None


Carried = Half | Mapping[str, Any] | Callable[[], Half]
"""A half as a door has it: its content, Lambda's event or answer around it, or what fetches it."""


class About(NamedTuple):
    """What is known of a request besides. ``own`` names it where it has no ``id`` in it."""

    request_id: str
    at_ms: int
    alias: str = ""
    own: str = ""


class TooMuchError(ValueError):
    """There is more of a request than is kept."""


def size_of(half: Carried | None) -> int:
    """How many bytes are held as long as this half is; 0 for what is fetched when it is read."""
    if half is None or callable(half):
        return 0
    return len(half.content if isinstance(half, Half) else half.get("body") or "")


class Rows:
    """Makes rows of one version's requests, in the columns that its manifest and the catalog name."""

    def __init__(self, manifest: Manifest, settings: CaptureSettings, *, whole: bool = False) -> None:
        """Raises ``ValueError`` where the catalog names a tensor that the version has not.

        What was to be dropped would be kept under its real name. With ``whole`` what is not the protocol's is
        kept as the text that it is.
        """
        self._settings = settings
        self._model = manifest.model
        self._sides = ((INPUT_PREFIX, manifest.inputs), (OUTPUT_PREFIX, manifest.outputs))
        self._pictures = manifest.pictures
        self._whole = ((INPUT_PREFIX, WHOLE_REQUEST), (OUTPUT_PREFIX, WHOLE_ANSWER)) if whole else ()
        known = {spec.name for _, specs in self._sides for spec in specs} | {name for _, name in self._whole}
        unknown = {*settings.drop, *settings.hash} - known - {ID}
        if unknown:
            raise ValueError(f"`capture` names {sorted(unknown)}, which {manifest.ref} has not")
        self.columns = tuple(self._columns())

    def _columns(self) -> list[Column]:
        columns = [
            Column(REQUEST_ID, TEXT),
            Column(ID, TEXT),
            Column(ROW, INTEGER),
            Column(AT, TIME),
            Column(ALIAS, TEXT),
        ]
        for prefix, specs in self._sides:
            for spec in specs:
                if spec.name not in self._settings.drop:
                    kind = TEXT if spec.name in self._settings.hash else _KINDS.get(spec.datatype, INTEGER)
                    columns.append(Column(prefix + spec.name, kind, lists=True))
        columns += [
            Column(prefix + name, TEXT, lists=True)
            for prefix, name in self._whole
            if name not in self._settings.drop
        ]
        return columns

    def of(self, request: Carried | None, answer: Carried | None, about: About) -> list[tuple[Any, ...]]:
        """The rows of one request, a value for each of ``columns``; raises if either half cannot be read.

        An output that was not asked for is an empty list, and so is everything of a half that is not there.
        """
        asked, answered = _read(request), _read(answer)
        if not self._whole:
            return self._of_tensors(asked, answered, about)
        if self._sides[0][1]:
            try:
                return self._of_tensors(asked, answered, about)
            except (ValueError, KeyError, TypeError, AttributeError, IndexError):
                # A path of the container's own; or not, and then its text holds what must not be kept.
                tensors = {spec.name for _, specs in self._sides for spec in specs}
                if tensors & {*self._settings.drop, *self._settings.hash}:
                    raise
        return self._of_bodies(asked, answered, about)

    def _of_tensors(self, asked: Half | None, answered: Half | None, about: About) -> list[tuple[Any, ...]]:
        document, inputs = self._asked(asked)
        _, outputs = _tensors(answered, "outputs")
        count = self._count(inputs, outputs)
        wanted = [
            (spec, (inputs if prefix == INPUT_PREFIX else outputs).get(spec.name))
            for prefix, specs in self._sides
            for spec in specs
            if spec.name not in self._settings.drop
        ]
        kept = _spread(count, _most_rows(wanted, count))
        own = "" if ID in self._settings.drop else str(document.get("id") or about.own)
        cells = [self._cells(spec, tensor, count, kept) for spec, tensor in wanted]
        bodies: list[list[Any]] = [[] for _ in range(len(self.columns) - _BESIDE - len(cells))]
        return [
            (about.request_id, own, row, about.at_ms, about.alias, *(cell[place] for cell in cells), *bodies)
            for place, row in enumerate(kept)
        ]

    def _asked(self, half: Half | None) -> tuple[dict[str, Any], dict[str, _Tensor]]:
        """A request and its inputs; of the file of a picture its sha256, because pictures are of people."""
        if half is not None and half.json_length == 0 and self._pictures:
            content = half.content.encode() if isinstance(half.content, str) else half.content
            return {}, {name: _Tensor([1], _in_list([_digest(content)])) for name in self._pictures}
        return _tensors(half, "inputs", self._pictures)

    def _of_bodies(self, asked: Half | None, answered: Half | None, about: About) -> list[tuple[Any, ...]]:
        found: list[list[Any]] = [
            [] for prefix, specs in self._sides for spec in specs if spec.name not in self._settings.drop
        ]
        for half, (_, name) in zip((asked, answered), self._whole, strict=True):
            if name not in self._settings.drop:
                text = [] if half is None else [_text(half)]
                found.append(
                    [hashed(self._model, said) for said in text] if name in self._settings.hash else text
                )
        own = "" if ID in self._settings.drop else about.own
        return [(about.request_id, own, 0, about.at_ms, about.alias, *found)]

    def _count(self, inputs: Mapping[str, _Tensor], outputs: Mapping[str, _Tensor]) -> int:
        """How many rows were asked about: the size that a request chooses first, or one."""
        for (_, specs), given in zip(self._sides, (inputs, outputs), strict=True):
            for spec in specs:
                if _is_by_row(spec) and spec.name in given:
                    return given[spec.name].shape[0]
        return 1

    def _cells(
        self, spec: TensorSpec, tensor: _Tensor | None, count: int, kept: Sequence[int]
    ) -> list[list[Any]]:
        """The values of one tensor for each kept row. One that is not by row stands in the first."""
        if tensor is None:
            return [[] for _ in kept]
        if tensor.is_by_row(spec, count):
            width = math.prod(tensor.shape[1:])
            cells = [tensor.values(row * width, (row + 1) * width) for row in kept]
        else:
            cells = [tensor.values(0, tensor.size) if not row else [] for row in kept]
        if spec.name in self._settings.hash:
            return [[hashed(self._model, value) for value in cell] for cell in cells]
        return cells


@dataclass(frozen=True, slots=True)
class _Tensor:
    """A tensor of a half: its shape, and its flat values from one place up to another."""

    shape: list[int]
    values: Callable[[int, int], list[Any]]

    @property
    def size(self) -> int:
        return math.prod(self.shape)

    def is_by_row(self, spec: TensorSpec, count: int) -> bool:
        return _is_by_row(spec) and self.shape[:1] == [count]


def _is_by_row(spec: TensorSpec) -> bool:
    return bool(spec.shape) and isinstance(spec.shape[0], str)


def _most_rows(wanted: Sequence[tuple[TensorSpec, _Tensor | None]], count: int) -> int:
    """How many rows of a request are kept. Raises ``TooMuchError`` where one alone is more than that."""
    each = whole = 0
    for spec, tensor in wanted:
        if tensor is not None:
            if tensor.is_by_row(spec, count):
                each += math.prod(tensor.shape[1:])
            else:
                whole += tensor.size
    most = (MOST_ELEMENTS - whole) // each if each else MOST_ROWS
    if most < 1 or whole > MOST_ELEMENTS:
        raise TooMuchError("a row of this request has more values than are kept")
    return min(most, MOST_ROWS)


def _spread(count: int, most: int) -> Sequence[int]:
    return [at * count // most for at in range(most)] if count > most else range(count)


# Reading a half

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
_SIZES = {"FP16": 2, "BF16": 2, **{datatype: array(code).itemsize for datatype, code in _CODES.items()}}
_LARGEST = 2**63 - 1


def _read(half: Carried | None) -> Half | None:
    """The content of a half, out of what it is carried in."""
    if half is None or isinstance(half, Half):
        return half
    if callable(half):
        return half()
    body = half.get("body") or ""
    content = from_base64(body) if half.get("isBase64Encoded") else str(body)
    return Half(content, json_length((half.get("headers") or {}).items()))


def _text(half: Half) -> str:
    """A body as it is; raises for one that is no text, or too long."""
    if len(half.content) > MOST_TEXT_BYTES:
        raise TooMuchError("this body is longer than what is kept")
    return half.content if isinstance(half.content, str) else half.content.decode()


def _tensors(
    half: Half | None, side: str, pictures: frozenset[str] = frozenset()
) -> tuple[dict[str, Any], dict[str, _Tensor]]:
    """What a half says besides, and its tensors."""
    if half is None:
        return {}, {}
    content = half.content.encode() if isinstance(half.content, str) else half.content
    length = len(content) if half.json_length is None else half.json_length
    if length > MOST_TEXT_BYTES:
        raise TooMuchError("the JSON of this request is longer than what is read")
    whole = memoryview(content)
    document = orjson.loads(whole[:length])
    at = length
    found: dict[str, _Tensor] = {}
    for tensor in document[side]:
        size = (tensor.get("parameters") or {}).get("binary_data_size")
        datatype, shape = tensor["datatype"], tensor["shape"]
        if size is not None:
            data = whole[at : at + size]
            at += size
            if tensor["name"] in pictures:
                values = _in_list([_digest(element) for element in _elements(data)])
            else:
                values = _in_binary(datatype, data)
        elif tensor["name"] in pictures:
            values = _in_list([_digest(from_base64(text)) for text in _flat(tensor["data"])])
        else:
            values = _in_list(_converted(datatype)(_flat(tensor["data"])))
        found[tensor["name"]] = _Tensor(shape, values)
    return document, found


def _in_list(values: list[Any]) -> Callable[[int, int], list[Any]]:
    return lambda start, end: values[start:end]


def _in_binary(datatype: str, data: memoryview) -> Callable[[int, int], list[Any]]:
    if datatype == "BYTES":
        if len(data) > MOST_TEXT_BYTES:
            raise TooMuchError("the texts of this request are longer than what is read")
        return _in_list([str(element, "utf-8", "replace") for element in _elements(data)])
    size = _SIZES[datatype]
    return lambda start, end: _from_binary(datatype, bytes(data[start * size : end * size]))


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


def _elements(data: memoryview) -> list[memoryview]:
    """What BYTES are made of: each a length and so many bytes."""
    found, at = [], 0
    while at < len(data):
        (length,) = struct.unpack_from("<I", data, at)
        found.append(data[at + 4 : at + 4 + length])
        at += 4 + length
    return found


def _digest(file: bytes | memoryview) -> str:
    return hashlib.sha256(file).hexdigest()
