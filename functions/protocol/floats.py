"""Read the commonest request body without an object for each of its numbers.

A thousand floats as JSON are 20 KB of text. To parse them into Python's objects and pack those into an array
is most of what a request costs; ``pysimdjson`` writes them into the array as it finds them, in half the time.
It reads one kind of body: one input, four members, floats. Every other, and every one that it does not like,
is left to the reader that says what is wrong. The runtime layer carries it; without it that one does all.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

DATATYPES: dict[Any, np.dtype[Any]] = {"FP32": np.dtype(np.float32), "FP64": np.dtype(np.float64)}
"""What is read this way: what a double holds, or is rounded from, as the other reader does it."""

SMALLEST, LARGEST = 512, 1 << 20
"""Bytes of a body. Below it nothing is gained; a parser keeps ten times the largest text it has seen."""

_MOST_ROWS = 32
_FLAT = 3
"""Brackets of a body whose numbers are flat: those of ``inputs``, ``shape`` and ``data``."""

_NOT_THIS_KIND = (ValueError, TypeError, KeyError, IndexError, AttributeError, RuntimeError)
"""Text that is no JSON, or JSON of something else; ``RuntimeError`` is any rarer complaint of the parser."""


class FloatInput(NamedTuple):
    """The only input of a request, as it was sent: nothing here has been held against a model."""

    name: object
    datatype: str
    shape: list[Any]
    values: NDArray[Any]


class FloatReader:
    """Reads bodies with one parser for each thread.

    The library is loaded with the second body, because it takes some milliseconds that the first answer of a
    new environment need not wait for; ``load`` does it at once.
    """

    def __init__(self) -> None:
        self._seen = False
        self._library: Any = None
        self._threads = threading.local()

    def load(self) -> bool:
        """Load the library; ``False`` where there is none. Safe to repeat."""
        self._seen = True
        if self._library is None:
            try:
                import csimdjson
            except ImportError:
                csimdjson = False
            self._library = csimdjson
        return bool(self._library)

    def read(self, body: bytes | str) -> FloatInput | None:
        """The only input of ``body``; ``None`` if it is anything but plain floats. Raises nothing."""
        if not SMALLEST <= len(body) <= LARGEST or body[0] not in ("{", 0x7B):
            return None
        if not self._library and (self._library is False or not self._ready()):
            return None
        brackets = _brackets(body)
        if brackets > _FLAT + _MOST_ROWS:
            return None
        try:
            parser = self._threads.parser
        except AttributeError:
            parser = self._threads.parser = self._library.Parser()
        try:
            return _input(parser.parse(body), brackets)
        except _NOT_THIS_KIND:
            return None

    def _ready(self) -> bool:
        if not self._seen:
            self._seen = True
            return False
        return self.load()


def _input(document: Any, brackets: int) -> FloatInput | None:
    # An object finds the first of two members of a name, and the other reader the last: with as many members
    # as are asked for, and each of them there, no name comes twice.
    (item,) = document["inputs"]
    if len(document) != 1 or len(item) != 4:
        return None
    datatype, data = item["datatype"], item["data"]
    dtype = DATATYPES.get(datatype)
    shape = item["shape"].as_list()
    if dtype is None or not _is_nested_like(data, shape, brackets):
        return None
    values: NDArray[Any] = np.frombuffer(data.as_buffer(of_type="d"))
    if dtype is not DATATYPES["FP64"]:
        with np.errstate(over="ignore"):
            values = values.astype(dtype)
        if np.count_nonzero(np.isfinite(values)) < values.size:
            return None
    return FloatInput(item["name"], datatype, shape, values)


def _is_nested_like(data: Any, shape: list[Any], brackets: int) -> bool:
    """Whether ``data`` is flat, or two levels deep as its shape is: a buffer of it no longer tells."""
    if brackets == _FLAT:
        return True
    if len(shape) != 2 or len(data) != shape[0] or brackets != _FLAT + len(data):
        return False
    return all(len(row) == shape[1] for row in data)


def _brackets(body: bytes | str) -> int:
    """How many lists are begun in ``body``, no further than matters. Those in a string count too."""
    bracket: Any = "[" if isinstance(body, str) else b"["
    found, at = 0, body.find(bracket)
    while at >= 0 and found <= _FLAT + _MOST_ROWS:
        found, at = found + 1, body.find(bracket, at + 1)
    return found
