"""``model_store.contract.parquet``: pyarrow reads what is written, and what is written comes back."""

from __future__ import annotations

import contextlib
import io
import math
from collections.abc import Callable
from typing import Any

import pyarrow
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyarrow import parquet as arrow

from model_store.contract import parquet
from model_store.contract.errors import IntegrityError
from model_store.contract.parquet import DOUBLE, FLOAT, INTEGER, TEXT, TIME, Column

VALUES: dict[str, st.SearchStrategy[Any]] = {
    FLOAT: st.floats(width=32, allow_nan=False),
    DOUBLE: st.floats(allow_nan=False),
    INTEGER: st.integers(-(2**63), 2**63 - 1),
    TEXT: st.text(max_size=20),
    TIME: st.integers(0, 4_102_444_800_000),
}
KINDS = list(VALUES)
ARROW = {
    FLOAT: pyarrow.float32(),
    DOUBLE: pyarrow.float64(),
    INTEGER: pyarrow.int64(),
    TEXT: pyarrow.string(),
    TIME: pyarrow.timestamp("ms", tz="UTC"),
}


@st.composite
def tables(draw: Callable[[Any], Any]) -> dict[Column, list[Any]]:
    rows = draw(st.integers(0, 30))
    made = {}
    for at, kind in enumerate(draw(st.lists(st.sampled_from(KINDS), min_size=1, max_size=4))):
        lists = draw(st.booleans())
        one = st.lists(VALUES[kind], max_size=20) if lists else VALUES[kind]
        made[Column(f"column {at}", kind, lists)] = draw(st.lists(one, min_size=rows, max_size=rows))
    return made


@given(tables())
def test_what_is_written_comes_back(table: dict[Column, list[Any]]) -> None:
    assert parquet.read(parquet.write(table, {"model": "digits", "ä": ""})) == (
        table,
        {"model": "digits", "ä": ""},
    )


@given(tables())
def test_pyarrow_reads_the_same_values_types_and_words(table: dict[Column, list[Any]]) -> None:
    found = arrow.read_table(io.BytesIO(parquet.write(table, {"version": "7"})))
    assert found.column_names == [column.name for column in table]
    assert found.schema.metadata[b"version"] == b"7"
    for column, values in table.items():
        of = found.schema.field(column.name).type
        assert (of.value_type if column.lists else of) == ARROW[column.kind]
        wanted = values
        if column.kind == TIME:
            array = found[column.name].combine_chunks()
            flat = array.flatten() if column.lists else array
            wanted = [item for value in values for item in value] if column.lists else values
            assert flat.cast(pyarrow.int64()).to_pylist() == wanted
        else:
            assert found[column.name].to_pylist() == wanted


def test_a_number_that_is_none_stays_none() -> None:
    column = Column("x", FLOAT, lists=True)
    data = parquet.write({column: [[math.nan, 1.0]]}, {})
    assert math.isnan(parquet.read(data)[0][column][0][0])
    assert math.isnan(arrow.read_table(io.BytesIO(data))["x"].to_pylist()[0][0])


def test_many_columns_and_long_texts_need_longer_heads() -> None:
    table = {Column(f"c{at}", TEXT): ["x" * 300] * 3 for at in range(40)}
    assert parquet.read(parquet.write(table, {}))[0] == table


def test_a_file_of_somebody_else_is_not_read_as_if_it_were_ours() -> None:
    file = io.BytesIO()
    arrow.write_table(pyarrow.table({"x": [1, 2]}), file)
    with pytest.raises(IntegrityError, match="no file of captured rows"):
        parquet.read(file.getvalue())


@pytest.mark.parametrize("cut", [0, 3, 4, 12, 60, -40, -9, -1])
def test_what_is_cut_short_is_refused(cut: int) -> None:
    data = parquet.write({Column("x", INTEGER, lists=True): [[1, 2], [], [3]]}, {"model": "m"})
    with pytest.raises(IntegrityError):
        parquet.read(data[:cut])


@given(st.integers(0, 400), st.integers(1, 255))
def test_a_changed_byte_is_refused_or_harmless(at: int, by: int) -> None:
    """Nothing but an error of ours comes out, whatever lies in the bucket."""
    data = bytearray(parquet.write({Column("x", INTEGER, lists=True): [[1, 2], [], [3]]}, {"model": "m"}))
    data[at % len(data)] ^= by
    with contextlib.suppress(IntegrityError):
        parquet.read(bytes(data))
