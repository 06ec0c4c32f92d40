"""Cleaning on every engine: the same rows stay and the same values stand in them, so sets have one digest."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import duckdb
import narwhals as nw
import polars as pl
import pytest
from pydantic import TypeAdapter

from training.data.cleaning import Table, clean, clean_anywhere
from training.data.declared import Cleaning, Columns, Declared
from training.data.prepared import Prepared, keep_parts

Subject = Callable[[pl.DataFrame], Table]
COLUMNS = Columns(target="kind", features=("size", "count"))
NAN = float("nan")
TABLE = pl.DataFrame(
    {
        "size": [1.5, None, NAN, 1.5, 99.0, -0.0, 0.0, -7.25],
        "count": [3, 4, None, 3, 9_000_000_000, 0, 0, -5],
        "kind": ["b", "a", "a", "a", "b", "b", "a", None],
        "said": ["  Good\tDay ", "ÄRGER\u00a0im\u2003Bau", None, "", "a\nb  c", "x", "ÉTÉ", "Don't"],
        "fine": [True, False, None, True, True, False, True, False],
    }
)
STEPS: dict[str, list[dict[str, Any]]] = {
    "nothing": [],
    "missing": [{"step": "drop_missing"}],
    "missing-some": [{"step": "drop_missing", "columns": ("size", "kind")}],
    "duplicates": [{"step": "drop_duplicates"}],
    "fill-numbers": [{"step": "fill", "columns": ("size", "count"), "value": 2.5}],
    "fill-texts": [{"step": "fill", "columns": ("said", "kind"), "value": "none"}],
    "clip": [{"step": "clip", "columns": ("size", "count"), "least": 0.5, "most": 10.5}],
    "keep-between": [{"step": "keep", "column": "size", "least": 0.0, "most": 50.0}],
    "keep-above": [{"step": "keep", "column": "size", "least": 1.0}],
    "keep-words": [{"step": "keep", "column": "kind", "one_of": ("a",)}],
    "keep-numbers": [{"step": "keep", "column": "count", "one_of": (3, 0)}],
    "tidy": [{"step": "tidy_text", "columns": ("said",)}],
    "all": [
        {"step": "tidy_text", "columns": ("said",)},
        {"step": "fill", "columns": ("size",), "value": 0.25},
        {"step": "clip", "columns": ("size",), "least": -1.0, "most": 3.0},
        {"step": "drop_missing", "columns": ("count", "kind")},
        {"step": "drop_duplicates"},
        {"step": "keep", "column": "count", "most": 100.0},
    ],
}


@pytest.fixture(params=["polars", "duckdb", "spark"])
def subject(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Subject]:
    """Lays a table down where an engine has it. Rows go in backwards: none has a place."""
    file = tmp_path / "rows.parquet"
    if request.param == "polars":
        yield lambda table: nw.from_native(table.reverse()).lazy()
    elif request.param == "duckdb":
        with duckdb.connect() as connection:
            yield lambda table: nw.from_native(connection.from_arrow(table.reverse().to_arrow())).lazy()
    else:
        session: Any = request.getfixturevalue("spark")

        def on_spark(table: pl.DataFrame) -> Table:
            table.reverse().write_parquet(file)
            lies: Table = nw.from_native(session.read.parquet(str(file)).repartition(3)).lazy()
            return lies

        yield on_spark


def read(steps: list[dict[str, Any]]) -> list[Cleaning]:
    return [TypeAdapter(Cleaning).validate_python(step) for step in steps]


def said(table: pl.DataFrame) -> list[str]:
    """The rows as texts, in an order of their own; of zero's two signs and of a number's type nothing is said."""
    return sorted(
        repr([float(cell) + 0.0 if isinstance(cell, int | float) else cell for cell in row])
        for row in table.rows()
    )


@pytest.mark.parametrize("steps", STEPS)
def test_an_engine_leaves_what_polars_leaves(subject: Subject, steps: str) -> None:
    here, did_here = clean_anywhere(nw.from_native(TABLE).lazy(), read(STEPS[steps]), COLUMNS, rows=8)
    there, did_there = clean_anywhere(subject(TABLE), read(STEPS[steps]), COLUMNS, rows=8)
    assert said(there) == said(here)
    assert did_there == did_here


def test_where_rows_have_no_order_the_first_of_equals_is_the_one_that_says_the_least(
    subject: Subject,
) -> None:
    left, _ = clean_anywhere(subject(TABLE), read(STEPS["duplicates"]), COLUMNS, rows=8)
    kinds = {row["count"]: row["kind"] for row in left.rows(named=True)}
    assert (kinds[3], kinds[0]) == ("a", "b")


@pytest.mark.parametrize("steps", sorted(set(STEPS) - {"duplicates", "all"}))
def test_a_table_with_an_order_keeps_it(steps: str) -> None:
    ordered, _ = clean(TABLE, read(STEPS[steps]), COLUMNS)
    anyhow, _ = clean_anywhere(nw.from_native(TABLE).lazy(), read(STEPS[steps]), COLUMNS, rows=8)
    assert ordered.columns == TABLE.columns
    assert said(ordered) == said(anyhow)


def test_every_engine_makes_the_same_set(subject: Subject, tmp_path: Path) -> None:
    """Law: a set's name follows from its rows."""
    table = pl.DataFrame(
        {
            "size": [number / 7 for number in range(90)] + [0.0, None],
            "count": [number % 11 for number in range(90)] + [0, 3],
            "kind": ["pear", "apple", "fig"] * 30 + ["pear", "fig"],
        }
    )
    declared = Declared.model_validate(
        {
            "name": "fruit",
            "task": "classification",
            "engine": "spark",
            "source": {"kind": "s3", "prefix": "s3:///data/fruit/", "format": "parquet"},
            "columns": {"features": ("size", "count"), "target": "kind"},
            "clean": ({"step": "drop_missing"}, {"step": "drop_duplicates"}),
            "split": {"by": "content", "seed": 4, "stratify": True},
        }
    )

    def made(lies: Table, keep: Path) -> Prepared:
        left, did = clean_anywhere(lies, declared.clean, declared.columns, rows=table.height)
        return keep_parts(left, declared, keep, read=table.height, cleaned=did)

    here = made(nw.from_native(table).lazy(), tmp_path / "here")
    there = made(subject(table), tmp_path / "there")
    assert there.digest == here.digest
    assert there.facts["rows"] == {"read": 92, "kept": 90, "train": 54, "validation": 18, "test": 18}
