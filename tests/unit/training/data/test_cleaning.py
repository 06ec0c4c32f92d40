"""Cleaning steps: what each takes away or changes."""

from typing import Any

import polars as pl
import pytest
from pydantic import TypeAdapter

from training.data.cleaning import clean
from training.data.declared import Cleaning, Columns
from training.errors import DataError

COLUMNS = Columns(target="kind", features=("size", "weight"))
TABLE = pl.DataFrame(
    {
        "size": [1.0, None, 3.0, 1.0, 99.0],
        "weight": [1.0, 2.0, float("nan"), 1.0, 5.0],
        "kind": ["a", "b", "a", "b", "a"],
        "said": ["  Good  Day ", "x", "y", "z", "w"],
    }
)


def cleaned(*steps: dict[str, Any]) -> tuple[pl.DataFrame, list[tuple[str, int, int]]]:
    read: list[Cleaning] = [TypeAdapter(Cleaning).validate_python(step) for step in steps]
    table, did = clean(TABLE, read, COLUMNS)
    return table, [(one.step, one.before, one.after) for one in did]


def test_missing_is_what_is_empty_and_what_is_not_a_number() -> None:
    table, did = cleaned({"step": "drop_missing"})
    assert table["size"].to_list() == [1.0, 1.0, 99.0]
    assert did == [("drop_missing", 5, 3)]


def test_only_the_named_columns_need_a_value() -> None:
    table, _ = cleaned({"step": "drop_missing", "columns": ("size",)})
    assert table.height == 4


def test_of_equal_inputs_the_first_stays_whatever_the_target_says() -> None:
    table, did = cleaned({"step": "drop_duplicates"})
    assert table["kind"].to_list() == ["a", "b", "a", "a"]
    assert did == [("drop_duplicates", 5, 4)]


def test_steps_run_in_the_order_they_are_written() -> None:
    table, did = cleaned(
        {"step": "fill", "columns": ("size", "weight"), "value": 0.0},
        {"step": "clip", "columns": ("size",), "least": 0.5, "most": 10.0},
        {"step": "keep", "column": "size", "least": 1.0},
        {"step": "keep", "column": "kind", "one_of": ("a",)},
        {"step": "tidy_text", "columns": ("said",)},
    )
    assert table["size"].to_list() == [1.0, 3.0, 10.0]
    assert table["weight"].to_list() == [1.0, 0.0, 5.0]
    assert table["said"].to_list() == ["good day", "y", "w"]
    assert [step for step, _, _ in did] == ["fill", "clip", "keep", "keep", "tidy_text"]


def test_a_column_that_is_not_there_is_named_with_those_that_are() -> None:
    with pytest.raises(DataError, match="`colour`") as refused:
        cleaned({"step": "drop_missing", "columns": ("colour",)})
    assert "`size`" in str(refused.value.hint)


def test_cleaning_everything_away_is_refused() -> None:
    with pytest.raises(DataError, match="leaves no rows"):
        cleaned({"step": "keep", "column": "size", "least": 1000.0})
