"""Captured traffic as rows to train on: each once, of the window, with what was right, and no answer as a feature."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from drift.truth import give
from model_store.adapters.memory import MemoryStore
from model_store.contract import capture as contract
from model_store.contract import parquet
from model_store.contract.capture import captured_key
from model_store.contract.parquet import FLOAT, INTEGER, TEXT, TIME, Column
from tests.conftest import ROOT
from tests.docs.pages import blocks
from training.data.captured import rows_captured, window
from training.data.declared import CapturedTraffic, Columns, read_data
from training.data.prepared import prepare
from training.errors import DataError

NOW = datetime(2026, 11, 22, 15, 30, tzinfo=UTC)
WINDOW = {"since": NOW - timedelta(days=2), "until": NOW}
X = Columns(target="label", features=("x_*",))

Rows = Mapping[str, Sequence[Sequence[Any]]]


class Kept:
    """Where a stage keeps requests, as functions lay them down."""

    def __init__(self) -> None:
        self.store = MemoryStore()
        self.files = 0

    def lay(
        self,
        request: str,
        tensors: Rows,
        *,
        at: datetime = NOW - timedelta(hours=1),
        version: int = 1,
        alias: str = "live",
        id_: str = "",
        hashed: str = "",
    ) -> None:
        count = len(next(iter(tensors.values())))
        table: dict[Column, list[Any]] = {
            Column("request_id", TEXT): [request] * count,
            Column("id", TEXT): [id_] * count,
            Column("row", INTEGER): list(range(count)),
            Column("at", TIME): [int(at.timestamp() * 1000)] * count,
            Column("alias", TEXT): [alias] * count,
        }
        for name, cells in tensors.items():
            value = next((value for cell in cells for value in cell), 0.0)
            kind = {str: TEXT, int: INTEGER}.get(type(value), FLOAT)
            table[Column(name, kind, lists=True)] = [list(cell) for cell in cells]
        about = {"format": contract.FORMAT, "model": "sign", "version": str(version), "hashed": hashed}
        data = parquet.write(table, about)
        self.store.put_once(captured_key("sign", version, at, "e0", self.files), data)
        self.files += 1

    def rows(self, columns: Columns = X, **source: Any) -> pl.DataFrame:
        given = {"kind": "captured", "model": "sign", "stage": "local", **WINDOW, **source}
        return rows_captured(CapturedTraffic(**given), self.store, columns, now=NOW)


def two(first: float, second: float) -> list[list[float]]:
    return [[first, second]]


@pytest.fixture
def kept() -> Kept:
    return Kept()


def test_tensors_become_columns_beside_what_is_known_of_the_request(kept: Kept) -> None:
    x, label = [[1.0, 2.0], [3.0, 4.0]], [[1], [1]]
    kept.lay("r1", {"input.x": x, "input.unit": [["m"], ["ft"]], "output.label": label}, id_="mine")
    found = kept.rows(Columns(target="output_label", features=("x_*",)))
    assert found.drop("at").to_dicts() == [
        {
            "request_id": "r1",
            "id": "mine",
            "row": row,
            "alias": "live",
            "version": 1,
            "unit": ("m", "ft")[row],
            "x_0000": x[row][0],
            "x_0001": x[row][1],
            "output_label": 1,
        }
        for row in (0, 1)
    ]


def test_only_the_window_the_versions_and_the_alias_count(kept: Kept) -> None:
    kept.lay("long ago", {"input.x": two(0, 0)}, at=NOW - timedelta(days=3))
    kept.lay("older", {"input.x": two(1, 0)}, version=1)
    kept.lay("newer", {"input.x": two(2, 0)}, version=2)
    kept.lay("tried", {"input.x": two(3, 0)}, version=2, alias="canary")
    text = Columns(target="version", features=("x_*",))
    assert kept.rows(text)["request_id"].to_list() == ["newer", "older", "tried"]
    assert kept.rows(text, versions=(2,))["request_id"].to_list() == ["newer", "tried"]
    assert kept.rows(text, alias="live")["request_id"].to_list() == ["newer", "older"]
    with pytest.raises(DataError, match="nothing was captured of `sign` through `night`"):
        kept.rows(text, alias="night")


def test_a_row_that_came_twice_stands_there_once_and_halves_are_put_together(kept: Kept) -> None:
    kept.lay("r1", {"input.x": two(1, 2), "output.label": [[]]}, id_="mine")
    for _ in range(2):
        kept.lay("r1", {"input.x": [[]], "output.label": [[1]]})
    found = kept.rows(Columns(target="output_label", features=("x_*",)))
    assert found.select("id", "x_0000", "x_0001", "output_label").rows() == [("mine", 1.0, 2.0, 1)]


def test_labels_are_joined_by_either_id_and_rows_of_which_nobody_said_are_left_out(kept: Kept) -> None:
    kept.lay("r1", {"input.x": two(1, 0)})
    kept.lay("r2", {"input.x": [[2.0, 0.0], [3.0, 0.0]]}, id_="mine")
    kept.lay("r3", {"input.x": two(4, 0)})
    give(kept.store, "sign", {("r1", 0): "10", ("mine", 1): "2"}, NOW)
    found = kept.rows(labels=True)
    assert found.select("x_0000", "label").rows() == [(1.0, 10), (3.0, 2)]
    assert found["label"].dtype.is_integer(), "as text, 10 would be a class before 2"


def test_labels_that_nobody_gave_are_said(kept: Kept) -> None:
    kept.lay("r1", {"input.x": two(1, 0)})
    with pytest.raises(DataError, match="of 1 captured rows of `sign` none has a label") as caught:
        kept.rows(labels=True)
    assert "yard truth sign" in str(caught.value.hint)


@pytest.mark.parametrize("feature", ["output_*", "label"])
def test_what_was_answered_is_no_feature(feature: str, kept: Kept) -> None:
    """A leak that no split shows: the next model would learn to repeat the last one."""
    kept.lay("r1", {"input.x": two(1, 0), "output.score": [[0.5]]})
    give(kept.store, "sign", {("r1", 0): "1"}, NOW)
    with pytest.raises(DataError, match="is what was answered, not what was asked"):
        kept.rows(Columns(target="label", features=("x_*", feature)), labels=True)


def test_rows_that_fit_into_no_table_are_named_and_left_out_where_they_are_not_wanted(kept: Kept) -> None:
    kept.lay("r1", {"input.x": two(1, 0), "input.words": [[1, 2, 3]]})
    kept.lay("r2", {"input.x": two(1, 0), "input.words": [[1]]})
    by_version = Columns(target="version", features=("x_*",))
    with pytest.raises(DataError, match="`words` has rows of 1 to 3 elements"):
        kept.rows(by_version)
    assert "words" not in kept.rows(by_version, tensors=("x",)).columns


def test_what_was_hashed_for_a_while_is_no_column(kept: Kept) -> None:
    kept.lay("r1", {"input.x": two(1, 0)})
    kept.lay("r2", {"input.x": [["ab12", "cd34"]]}, hashed="x")
    with pytest.raises(
        DataError, match=r"`input\.x` of `sign` was kept as it is and, at another time, hashed"
    ):
        kept.rows()


def test_a_file_that_is_none_is_named(kept: Kept) -> None:
    key = captured_key("sign", 1, NOW, "e1", 0)
    kept.store.put_once(key, b"nonsense")
    with pytest.raises(DataError, match=key):
        kept.rows()


def test_whole_days_are_over_and_are_the_same_the_whole_day() -> None:
    source = CapturedTraffic(kind="captured", model="sign", stage="local", days=2)
    since, until = window(source, NOW)
    assert since == datetime(2026, 11, 20, tzinfo=UTC)
    assert datetime(2026, 11, 21, 23, 59, 59, tzinfo=UTC) < until < datetime(2026, 11, 22, tzinfo=UTC)
    assert window(source, NOW + timedelta(hours=8)) == (since, until)
    assert window(source, NOW + timedelta(hours=9)) != (since, until)


def test_a_window_that_is_not_over_is_refused(kept: Kept) -> None:
    with pytest.raises(DataError, match="rows still come"):
        kept.rows(until=NOW + timedelta(minutes=1))


DECLARED = """
name = "signs"
task = "classification"
clean = [{ step = "drop_duplicates" }]
[source]
kind = "captured"
model = "sign"
stage = "local"
since = 2026-11-20T00:00:00Z
until = 2026-11-21T00:00:00Z
labels = true
[columns]
features = ["x_*"]
target = "label"
group = "request_id"
[schema."x_*"]
least = -9
"""


def test_the_page_s_source_is_one(tmp_path: Path) -> None:
    (shown,) = [
        block.text
        for block in blocks(ROOT / "docs" / "training.md")
        if block.language == "toml" and 'kind = "captured"' in block.text
    ]
    path = tmp_path / "data.toml"
    path.write_text(f'name = "asked"\ntask = "classification"\n{shown}')
    source = read_data(path).source
    assert isinstance(source, CapturedTraffic)
    assert (source.alias, source.days, source.labels) == ("live", 30, True)


def test_a_set_is_the_same_whatever_files_its_rows_lay_in_and_no_request_is_torn_apart(
    tmp_path: Path,
) -> None:
    """The digest, the schema and the leak checks are those of every source."""
    x = np.random.default_rng(22).normal(size=(40, 2)).round(3)
    noon = datetime(2026, 11, 20, 12, tzinfo=UTC)
    digests = set()
    for together in (4, 2):
        kept = Kept()
        for start in reversed(range(0, 40, 4)):
            rows = x[start : start + 4].tolist()
            if together == 4:
                kept.lay(f"r{start:02}", {"input.x": rows}, at=noon + timedelta(seconds=start))
            else:  # twice, as of a queue that delivers at least once
                for _ in range(2):
                    kept.lay(f"r{start:02}", {"input.x": rows}, at=noon + timedelta(seconds=start))
        labels = {(f"r{at - at % 4:02}", at % 4): str(int(x[at, 0] > x[at, 1])) for at in range(40)}
        give(kept.store, "sign", labels, noon)
        (tmp_path / "data.toml").write_text(DECLARED)
        asked: list[str] = []

        def stage(name: str, *, place: Kept = kept, heard: list[str] = asked) -> MemoryStore:
            heard.append(name)
            return place.store

        made = prepare(tmp_path / "data.toml", tmp_path / "kept", stage=stage)
        assert asked == ["local"]
        assert made.facts["rows"]["kept"] == 40
        assert {count % 4 for part, count in made.facts["rows"].items()} == {0}
        digests.add(str(made.digest))
    assert len(digests) == 1
    assert "source" not in json.dumps(made.facts["declared"])
