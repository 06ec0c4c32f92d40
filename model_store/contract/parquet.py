"""Parquet with the standard library: what a function can write off its path, and a monitor can read.

The form that captured rows need and no more: required columns of one type each, single values or lists,
one row group, one plain page a column, gzip. Any reader takes it (the tests hold it to pyarrow); read back is
only what was written here.

Source: Apache Parquet format 2.x, ``parquet.thrift`` and "Encodings"; Apache Thrift, "Compact protocol".
"""

from __future__ import annotations

import struct
import sys
import zlib
from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from model_store.contract.errors import IntegrityError

MAGIC = b"PAR1"
CREATED_BY = "switchyard"

FLOAT, DOUBLE, INTEGER, TEXT, TIME = "float", "double", "integer", "text", "time"
"""What a column holds; ``TIME`` is milliseconds since 1970, UTC."""

_TYPE = {FLOAT: 4, DOUBLE: 5, INTEGER: 2, TEXT: 6, TIME: 2}
_CONVERTED = {TEXT: 0, TIME: 9}
_CODE = {FLOAT: "f", DOUBLE: "d", INTEGER: "q", TIME: "q"}
_GZIP, _PLAIN, _RLE, _LIST = 2, 0, 3, 3
_REQUIRED, _REPEATED = 0, 2
_GZIP_WBITS = 31

# Types of Thrift's compact protocol.
_I32, _I64, _BINARY, _LIST_OF, _STRUCT = 5, 6, 8, 9, 12


@dataclass(frozen=True, slots=True)
class Column:
    """A column by name and kind; each of its values is a list if ``lists``."""

    name: str
    kind: str
    lists: bool = False


def write(columns: Mapping[Column, Sequence[Any]], about: Mapping[str, str]) -> bytes:
    """A whole file: ``columns`` with as many values each, and ``about`` in its footer."""
    out = bytearray(MAGIC)
    rows = len(next(iter(columns.values())))
    chunks: list[list[tuple[int, int, Any]]] = []
    size = 0
    for column, values in columns.items():
        levels, entries = _levels(values) if column.lists else (b"", len(values))
        flat = [item for value in values for item in value] if column.lists else values
        page = levels + _plain(column.kind, flat)
        deflate = zlib.compressobj(wbits=_GZIP_WBITS)
        packed = deflate.compress(page) + deflate.flush()
        of_page = [(1, _I32, entries), (2, _I32, _PLAIN), (3, _I32, _RLE), (4, _I32, _RLE)]
        head = _struct([(1, _I32, 0), (2, _I32, len(page)), (3, _I32, len(packed)), (5, _STRUCT, of_page)])
        start = len(out)
        out += head + packed
        whole = len(head) + len(page)
        size += whole
        path = [column.name, "list", "element"] if column.lists else [column.name]
        chunks.append(
            [
                (2, _I64, start),
                (
                    3,
                    _STRUCT,
                    [
                        (1, _I32, _TYPE[column.kind]),
                        (2, _LIST_OF, (_I32, [_PLAIN, _RLE])),
                        (3, _LIST_OF, (_BINARY, path)),
                        (4, _I32, _GZIP),
                        (5, _I64, entries),
                        (6, _I64, whole),
                        (7, _I64, len(head) + len(packed)),
                        (9, _I64, start),
                    ],
                ),
            ]
        )
    group = [(1, _LIST_OF, (_STRUCT, chunks)), (2, _I64, size), (3, _I64, rows)]
    footer = _struct(
        [
            (1, _I32, 1),
            (2, _LIST_OF, (_STRUCT, list(_schema(columns)))),
            (3, _I64, rows),
            (4, _LIST_OF, (_STRUCT, [group])),
            (5, _LIST_OF, (_STRUCT, [[(1, _BINARY, key), (2, _BINARY, about[key])] for key in about])),
            (6, _BINARY, CREATED_BY),
        ]
    )
    return bytes(out + footer + struct.pack("<i", len(footer)) + MAGIC)


def read(data: bytes) -> tuple[dict[Column, list[Any]], dict[str, str]]:
    """Columns and what stands in the footer, of a file that ``write`` made.

    Raises ``IntegrityError`` for any other, Parquet or not.
    """
    try:
        footer = _footer(data)
        about = {item[1].decode(): item[2].decode() for item in footer.get(5, [])}
        (group,) = footer[4]
        columns = list(_columns_in(footer[2]))
        values = {
            column: _read_chunk(data, column, chunk[3])
            for column, chunk in zip(columns, group[1], strict=True)
        }
    except (ValueError, KeyError, IndexError, TypeError, struct.error, zlib.error) as error:
        raise IntegrityError(f"this is no file of captured rows: {error}") from error
    if {len(found) for found in values.values()} - {footer[3]}:
        raise IntegrityError("the columns of this file of captured rows have not as many rows as it says")
    return values, about


def _footer(data: bytes) -> dict[int, Any]:
    if data[:4] != MAGIC or data[-4:] != MAGIC:
        raise ValueError("it does not begin and end as Parquet does")
    (length,) = struct.unpack("<i", data[-8:-4])
    footer, _ = _read_struct(data, len(data) - 8 - length)
    if footer[6] != CREATED_BY.encode():
        raise ValueError("somebody else wrote it")
    return footer


# Values and levels


def _plain(kind: str, values: Sequence[Any]) -> bytes:
    if kind == TEXT:
        encoded = [value.encode() for value in values]
        return b"".join(struct.pack("<i", len(item)) + item for item in encoded)
    packed = array(_CODE[kind], values)
    if sys.byteorder == "big":
        packed.byteswap()
    return packed.tobytes()


def _read_plain(kind: str, data: memoryview) -> list[Any]:
    if kind != TEXT:
        packed = array(_CODE[kind])
        packed.frombytes(data)
        if sys.byteorder == "big":
            packed.byteswap()
        return packed.tolist()
    texts, at = [], 0
    while at < len(data):
        (length,) = struct.unpack_from("<i", data, at)
        texts.append(bytes(data[at + 4 : at + 4 + length]).decode())
        at += 4 + length
    return texts


def _levels(values: Sequence[Sequence[Any]]) -> tuple[bytes, int]:
    """Repetition and definition levels of lists, and how many there are: an empty list has one of its own."""
    repeated = [level for value in values for level in ([0] + [1] * (len(value) - 1) if value else [0])]
    defined = [level for value in values for level in ([1] * len(value) or [0])]
    return _runs(repeated) + _runs(defined), len(repeated)


def _runs(levels: Iterable[int]) -> bytes:
    runs = b"".join(_varint(len(list(same)) << 1) + bytes([level]) for level, same in groupby(levels))
    return struct.pack("<i", len(runs)) + runs


def _read_runs(data: memoryview, at: int) -> tuple[list[int], int]:
    (length,) = struct.unpack_from("<i", data, at)
    at += 4
    end, levels = at + length, []
    while at < end:
        header, at = _read_varint(data, at)
        if header & 1:
            raise ValueError("its levels are packed in bits")
        levels += [data[at]] * (header >> 1)
        at += 1
    return levels, end


def _read_chunk(data: bytes, column: Column, about: dict[int, Any]) -> list[Any]:
    if about[4] != _GZIP or about[1] != _TYPE[column.kind]:
        raise ValueError("it is packed in another way")
    head, at = _read_struct(data, about[9])
    page = memoryview(zlib.decompress(data[at : at + head[3]], wbits=_GZIP_WBITS))
    if not column.lists:
        return _read_plain(column.kind, page)
    repeated, at = _read_runs(page, 0)
    defined, at = _read_runs(page, at)
    found = iter(_read_plain(column.kind, page[at:]))
    lists: list[list[Any]] = []
    for again, there in zip(repeated, defined, strict=True):
        if not again:
            lists.append([])
        if there:
            lists[-1].append(next(found))
    return lists


# The schema


def _schema(columns: Iterable[Column]) -> Iterator[list[tuple[int, int, Any]]]:
    columns = list(columns)
    yield [(4, _BINARY, "rows"), (5, _I32, len(columns))]
    for column in columns:
        converted = _CONVERTED.get(column.kind)
        says = [(6, _I32, converted)] if converted is not None else []
        if column.lists:
            yield [(3, _I32, _REQUIRED), (4, _BINARY, column.name), (5, _I32, 1), (6, _I32, _LIST)]
            yield [(3, _I32, _REPEATED), (4, _BINARY, "list"), (5, _I32, 1)]
        name = "element" if column.lists else column.name
        yield [(1, _I32, _TYPE[column.kind]), (3, _I32, _REQUIRED), (4, _BINARY, name), *says]


def _columns_in(schema: Sequence[dict[int, Any]]) -> Iterator[Column]:
    kinds = {(_TYPE[kind], _CONVERTED.get(kind)): kind for kind in _TYPE}
    elements = iter(schema[1:])
    for element in elements:
        name, leaf = element[4].decode(), element
        lists = element.get(6) == _LIST
        if lists:
            next(elements)
            leaf = next(elements)
        yield Column(name, kinds[leaf[1], leaf.get(6)], lists)


# Thrift's compact protocol


def _varint(number: int) -> bytes:
    out = bytearray()
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    out.append(number)
    return bytes(out)


def _zigzag(number: int) -> bytes:
    return _varint(number << 1 if number >= 0 else (-number << 1) - 1)


def _value(kind: int, value: Any) -> bytes:
    if kind in (_I32, _I64):
        return _zigzag(value)
    if kind == _BINARY:
        text: bytes = value.encode()
        return _varint(len(text)) + text
    if kind == _STRUCT:
        return _struct(value)
    return _list(*value)


def _list(of: int, items: Sequence[Any]) -> bytes:
    head = bytes([len(items) << 4 | of]) if len(items) < 15 else bytes([0xF0 | of]) + _varint(len(items))
    return head + b"".join(_value(of, item) for item in items)


def _struct(fields: Iterable[tuple[int, int, Any]]) -> bytes:
    out, last = bytearray(), 0
    for number, kind, value in fields:
        out.append((number - last) << 4 | kind)
        out += _value(kind, value)
        last = number
    return bytes(out) + b"\0"


def _read_varint(data: bytes | memoryview, at: int) -> tuple[int, int]:
    number = shift = 0
    while True:
        byte = data[at]
        number |= (byte & 127) << shift
        at += 1
        if byte < 128:
            return number, at
        shift += 7


def _read_value(data: bytes, at: int, kind: int) -> tuple[Any, int]:
    if kind in (_I32, _I64):
        number, at = _read_varint(data, at)
        return (number >> 1) ^ -(number & 1), at
    if kind == _BINARY:
        length, at = _read_varint(data, at)
        return data[at : at + length], at + length
    if kind == _STRUCT:
        return _read_struct(data, at)
    if kind == _LIST_OF:
        size, of, at = data[at] >> 4, data[at] & 15, at + 1
        if size == 15:
            size, at = _read_varint(data, at)
        items = []
        for _ in range(size):
            item, at = _read_value(data, at, of)
            items.append(item)
        return items, at
    raise ValueError("its footer has a field of an unknown kind")


def _read_struct(data: bytes, at: int) -> tuple[dict[int, Any], int]:
    fields: dict[int, Any] = {}
    number = 0
    while data[at]:
        number, kind, at = number + (data[at] >> 4), data[at] & 15, at + 1
        fields[number], at = _read_value(data, at, kind)
    return fields, at + 1
