"""Hold a table to the schema of ``data.toml``, by pandera: every broken rule is said, not the first."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandera.polars as pa
import polars as pl
from pandera.errors import SchemaErrors

from training.data.cleaning import matching
from training.data.declared import Rule
from training.errors import DataError

_MOST_SAID = 8


def check_rules(table: pl.DataFrame, rules: Mapping[str, Rule], *, name: str) -> None:
    """Raise ``DataError`` with every column that breaks its rule, and by how many rows."""
    columns: dict[str, Any] = {
        column: pa.Column(
            nullable=rule.nullable, unique=rule.unique, checks=_checks(rule), required=True, dtype=None
        )
        for pattern, rule in rules.items()
        for column in matching(table.columns, [pattern])
    }
    broken = _wrong_types(table, rules)
    try:
        pa.DataFrameSchema(columns).validate(table, lazy=True)
    except SchemaErrors as error:
        broken += _said(error)
    if broken:
        more = f" and {len(broken) - _MOST_SAID} more" if len(broken) > _MOST_SAID else ""
        raise DataError(
            f"`{name}` breaks its schema: {'; '.join(broken[:_MOST_SAID])}{more}",
            hint="Add a cleaning step, correct the source, or correct `[schema]`.",
        )


def _wrong_types(table: pl.DataFrame, rules: Mapping[str, Rule]) -> list[str]:
    return [
        f"`{column}` is {table.schema[column]}, not {rule.type}"
        for pattern, rule in rules.items()
        for column in matching(table.columns, [pattern])
        if rule.type is not None and not _is(table.schema[column], rule.type)
    ]


def _is(dtype: pl.DataType, wanted: str) -> bool:
    kinds = {
        "integer": dtype.is_integer(),
        "number": dtype.is_numeric(),
        "text": dtype == pl.String,
        "boolean": dtype == pl.Boolean,
    }
    return kinds[wanted]


def _checks(rule: Rule) -> list[Any]:
    checks = []
    if rule.least is not None:
        checks.append(pa.Check.ge(rule.least))
    if rule.most is not None:
        checks.append(pa.Check.le(rule.most))
    if rule.one_of:
        checks.append(pa.Check.isin(list(rule.one_of)))
    if rule.pattern is not None:
        checks.append(pa.Check.str_matches(rule.pattern))
    return checks


def _said(error: SchemaErrors) -> list[str]:
    counted: dict[tuple[str, str], int] = {}
    for row in error.failure_cases.iter_rows(named=True):
        key = (str(row["column"]), str(row["check"]))
        counted[key] = counted.get(key, 0) + 1
    return [f"`{column}`: {check} fails ({count}x)" for (column, check), count in sorted(counted.items())]
