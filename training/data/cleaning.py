"""Cleaning steps, in the order of ``data.toml``, and what each of them took away or changed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

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


def inputs_of(table: pl.DataFrame, columns: Columns) -> list[str]:
    """The columns that a model is given."""
    return matching(table.columns, [columns.text] if columns.text else columns.features)


def clean(
    table: pl.DataFrame, steps: Sequence[Cleaning], columns: Columns
) -> tuple[pl.DataFrame, tuple[Cleaned, ...]]:
    """Run ``steps`` one after another. The order of the rows stays; the same rows give the same result."""
    did = []
    for step in steps:
        before = table.height
        table = _one(table, step, columns)
        did.append(Cleaned(step.step, before, table.height))
    if table.is_empty():
        raise DataError("cleaning leaves no rows", hint="Loosen the steps under `[[clean]]`.")
    return table, tuple(did)


def _one(table: pl.DataFrame, step: Cleaning, columns: Columns) -> pl.DataFrame:
    match step:
        case DropMissing():
            names = matching(table.columns, step.columns) if step.columns else table.columns
            numbers = [name for name in names if table.schema[name].is_float()]
            # A CSV's empty cell is null, its `NaN` a number that is none: both are missing.
            return table.with_columns(pl.col(numbers).fill_nan(None)).drop_nulls(names)
        case DropDuplicates():
            return table.unique(subset=inputs_of(table, columns), keep="first", maintain_order=True)
        case Fill():
            return table.with_columns(
                pl.col(name).fill_nan(None).fill_null(step.value)
                if table.schema[name].is_float()
                else pl.col(name).fill_null(step.value)
                for name in matching(table.columns, step.columns)
            )
        case Clip():
            names = matching(table.columns, step.columns)
            return table.with_columns(pl.col(names).clip(step.least, step.most))
        case Keep():
            return _kept(table, step)
        case TidyText():
            names = matching(table.columns, step.columns)
            tidy = pl.col(names).str.to_lowercase().str.replace_all(r"\s+", " ").str.strip_chars()
            return table.with_columns(tidy)


def _kept(table: pl.DataFrame, step: Keep) -> pl.DataFrame:
    (name,) = matching(table.columns, [step.column])
    kept = pl.lit(value=True)
    if step.least is not None:
        kept &= pl.col(name) >= step.least
    if step.most is not None:
        kept &= pl.col(name) <= step.most
    if step.one_of:
        kept &= pl.col(name).is_in(list(step.one_of))
    return table.filter(kept)
