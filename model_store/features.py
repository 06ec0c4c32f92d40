"""Features: what a distribution is kept of. Tensors come in as rows, single numbers and words come out.

The same code makes the features of a training sample and those of captured requests, so that one name means
one thing on both sides of a comparison.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model_store.contract.baseline import (
    CATEGORY,
    MOST_CATEGORIES,
    MOST_POINTS,
    NUMBER,
    Feature,
)
from model_store.contract.tensors import TensorSpec

MOST_ELEMENTS = 256
"""Longer rows, images for one, are not told element by element but by four figures over the row."""

FIGURES = ("mean", "deviation", "lowest", "highest")

Array = NDArray[Any]


@dataclass(frozen=True, slots=True)
class Column:
    """One feature of many rows: numbers as float64 with NaN for missing, or words with `""` for missing."""

    name: str
    side: str
    values: Array
    whole: bool = False
    """Whether the numbers are integers, which may be a category's."""

    @property
    def is_text(self) -> bool:
        return self.values.dtype.kind == "O"

    @property
    def words(self) -> list[str]:
        """The values that are there, as words."""
        if self.is_text:
            return [str(value) for value in self.values if value != ""]
        present = self.numbers
        return [str(int(value)) if value == int(value) else repr(float(value)) for value in present.tolist()]

    @property
    def numbers(self) -> Array:
        """The values that are there, as numbers. Infinities are missing too: they have no distribution."""
        return self.values[np.isfinite(self.values)]

    @property
    def missing(self) -> int:
        if self.is_text:
            return int(np.count_nonzero(self.values == ""))
        return len(self.values) - len(self.numbers)


def columns(spec: TensorSpec, rows: Array, side: str) -> Iterator[Column]:
    """The features of one tensor; the first dimension of ``rows`` counts the rows, what follows is flat."""
    flat = rows.reshape(len(rows), -1) if len(rows) else rows.reshape(0, 1)
    width = flat.shape[1]
    if spec.datatype == "BYTES":
        texts = np.array([_text(item) for item in flat.ravel()], dtype=object).reshape(flat.shape)
        for at in range(min(width, MOST_ELEMENTS)):
            yield Column(_named(spec.name, at, width), side, texts[:, at])
        return
    numbers = flat.astype(np.float64)
    whole = spec.datatype == "BOOL" or spec.datatype.startswith(("INT", "UINT"))
    if width <= MOST_ELEMENTS:
        for at in range(width):
            yield Column(_named(spec.name, at, width), side, numbers[:, at], whole)
        return
    figures = (numbers.mean(axis=1), numbers.std(axis=1), numbers.min(axis=1), numbers.max(axis=1))
    for word, values in zip(FIGURES, figures, strict=True):
        yield Column(f"{spec.name}.{word}", side, values)


def summary(column: Column) -> Feature:
    """How ``column`` is distributed. Integers with few different values are a category."""
    total = len(column.values)
    if column.is_text:
        return _categories(column, total)
    numbers = np.sort(column.numbers)
    if column.whole and 0 < len(np.unique(numbers)) <= MOST_CATEGORIES:
        return _categories(column, total)
    if not len(numbers):
        return Feature(column.name, column.side, NUMBER, total, total)
    points = _points(numbers)
    return Feature(
        column.name,
        column.side,
        NUMBER,
        total,
        total - len(numbers),
        tuple(float(point) for point in points),
        tuple(int(count) for count in np.searchsorted(numbers, points, "left")),
        tuple(int(count) for count in np.searchsorted(numbers, points, "right")),
        float(numbers.mean()),
        float(numbers.std()),
    )


def _categories(column: Column, total: int) -> Feature:
    words, counts = np.unique(np.array(column.words, dtype=object), return_counts=True)
    order = np.lexsort((words, -counts))
    kept = {str(words[at]): int(counts[at]) for at in order[:MOST_CATEGORIES]}
    others = int(counts.sum()) - sum(kept.values())
    return Feature(column.name, column.side, CATEGORY, total, column.missing, categories=kept, others=others)


def _points(numbers: Array) -> Array:
    """Every value if there are few, else values at even ranks: between two lies at most 1/127 of the rows."""
    different = np.unique(numbers)
    if len(different) <= MOST_POINTS:
        return different
    ranks = np.linspace(0, len(numbers) - 1, MOST_POINTS).round().astype(np.int64)
    return np.unique(numbers[ranks])


def _named(name: str, at: int, width: int) -> str:
    return name if width == 1 else f"{name}[{at}]"


def _text(item: object) -> str:
    return item.decode("utf-8", "replace") if isinstance(item, bytes) else str(item)


def in_rows(spec: TensorSpec, array: Array) -> Array:
    """``array`` with its rows first: a tensor whose leading size a request does not choose is one row."""
    if spec.shape and isinstance(spec.shape[0], str):
        return array
    return array.reshape(1, -1)


def all_columns(specs: Sequence[TensorSpec], arrays: dict[str, Array], side: str) -> Iterator[Column]:
    """The features of every tensor of ``arrays``, in the order in which the version declares them."""
    for spec in specs:
        if spec.name in arrays:
            yield from columns(spec, arrays[spec.name], side)
