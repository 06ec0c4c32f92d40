"""Cleaning steps, in the order of ``data.toml``, and what each of them took away or changed.

Written once, over narwhals' lazy tables: polars carries them out in memory, Spark on many machines
(``training.data.spark_job``). What engines would do each in their own way (spaces of Unicode, bounds of
whole numbers, which of equal rows is the first) is said here.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

import narwhals as nw
import polars as pl

from training.data.declared import (
    Cleaning,
    Clip,
    Columns,
    DropDuplicates,
    DropMissing,
    Fill,
    Keep,
    TidyText,
)
from training.errors import DataError

Table = nw.LazyFrame[Any]

PLACE = "__place"
"""The column that says where a row stood, in tables whose order means something."""

# What Unicode calls white space, letter by letter: engines differ in what `\\s` is.
_SPACES = "[\t-\r \x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]+"


@dataclass(frozen=True, slots=True)
class Cleaned:
    """What one step did: rows before it and after it."""

    step: str
    before: int
    after: int


def matching(names: Sequence[str], patterns: Sequence[str]) -> list[str]:
    """The columns that ``patterns`` name, in the table's order; a pattern that names none is an error."""
    for pattern in patterns:
        if not any(fnmatchcase(name, pattern) for name in names):
            raise DataError(
                f"no column is called `{pattern}`",
                hint=f"The source has {', '.join(f'`{name}`' for name in names[:12])}"
                f"{' and more' if len(names) > 12 else ''}.",
            )
    return [name for name in names if any(fnmatchcase(name, pattern) for pattern in patterns)]


def inputs_of(names: Sequence[str], columns: Columns) -> list[str]:
    """The columns that a model is given."""
    return matching(names, [columns.text] if columns.text else columns.features)


def clean(
    table: pl.DataFrame, steps: Sequence[Cleaning], columns: Columns
) -> tuple[pl.DataFrame, tuple[Cleaned, ...]]:
    """Run ``steps`` on a table in memory. The order of the rows stays; the same rows give the same result."""
    placed = nw.from_native(table).with_row_index(PLACE).lazy()
    cleaned, did = clean_anywhere(placed, steps, columns, rows=table.height)
    return cleaned.sort(PLACE).drop(PLACE), did


def clean_anywhere(
    table: Table, steps: Sequence[Cleaning], columns: Columns, *, rows: int
) -> tuple[pl.DataFrame, tuple[Cleaned, ...]]:
    """Run ``steps`` on a table of ``rows`` rows wherever it lies, and bring what is left of it into memory.

    A table without ``PLACE`` has no order, before or after. Each step that takes rows away costs its engine
    a pass to count them. Raises ``DataError`` when nothing is left.
    """
    did = []
    for step in steps:
        before = rows
        table = _one(table, step, columns)
        if isinstance(step, DropMissing | DropDuplicates | Keep):
            rows = count(table)
        did.append(Cleaned(step.step, before, rows))
    if not rows:
        raise DataError("cleaning leaves no rows", hint="Loosen the steps under `[[clean]]`.")
    return table.collect("polars").to_native(), tuple(did)


def count(table: Table) -> int:
    """How many rows ``table`` has."""
    return int(table.select(nw.len()).collect("polars").item())


def _one(table: Table, step: Cleaning, columns: Columns) -> Table:
    schema = table.collect_schema()
    every = [name for name in schema.names() if name != PLACE]
    match step:
        case DropMissing():
            names = matching(every, step.columns) if step.columns else every
            numbers = [name for name in names if schema[name].is_float()]
            # A CSV's empty cell is null, its `NaN` a number that is none: both are missing.
            return table.with_columns(nw.col(name).fill_nan(None) for name in numbers).drop_nulls(names)
        case DropDuplicates():
            inputs = inputs_of(every, columns)
            # Without a place, the first is the one whose other columns say the least.
            order = [PLACE] if PLACE in schema else sorted(set(every) - set(inputs)) or inputs
            return table.unique(inputs, keep="first", order_by=order)
        case Fill():
            return table.with_columns(
                nw.col(name).fill_nan(None).fill_null(step.value)
                if schema[name].is_float()
                else nw.col(name).fill_null(step.value)
                for name in matching(every, step.columns)
            )
        case Clip():
            return table.with_columns(
                _clipped(name, schema[name], step) for name in matching(every, step.columns)
            )
        case Keep():
            return _kept(table, step, every)
        case TidyText():
            return table.with_columns(
                nw.col(name).str.to_lowercase().str.replace_all(_SPACES, " ").str.strip_chars(" ")
                for name in matching(every, step.columns)
            )


def _clipped(name: str, dtype: Any, step: Clip) -> nw.Expr:
    """What is not there stays so, and what is no number."""
    whole = dtype.is_integer()
    least = math.ceil(step.least) if whole else step.least
    most = math.floor(step.most) if whole else step.most
    clipped = nw.col(name).clip(least, most)
    return clipped if whole else nw.when(nw.col(name).is_nan()).then(nw.col(name)).otherwise(clipped)


def _kept(table: Table, step: Keep, every: Sequence[str]) -> Table:
    (name,) = matching(every, [step.column])
    kept = []
    if step.least is not None:
        kept.append(nw.col(name) >= step.least)
    if step.most is not None:
        kept.append(nw.col(name) <= step.most)
    if step.one_of:
        kept.append(nw.col(name).is_in(list(step.one_of)))
    return table.filter(*kept) if kept else table
