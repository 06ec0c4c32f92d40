"""Rows from files, pictures, buckets and scikit-learn."""

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from PIL import Image

from training.data.declared import Declared
from training.data.sources import rows
from training.errors import DataError

TABLE = pl.DataFrame({"size": [1.5, 2.5, 3.5], "kind": ["a", "b", "a"]})


def declared(**source: Any) -> Declared:
    columns = {"features": ["size"], "target": "kind"}
    body = {"name": "shapes", "task": "classification", "source": source, "columns": columns}
    return Declared.model_validate_json(json.dumps(body))


def test_csv_files_of_a_pattern_are_one_table_in_the_order_of_their_names(tmp_path: Path) -> None:
    TABLE[2:].write_csv(tmp_path / "2.csv", separator=";")
    TABLE[:2].write_csv(tmp_path / "1.csv", separator=";")
    found = rows(declared(kind="csv", path="*.csv", separator=";"), tmp_path)
    assert found.equals(TABLE)


def test_parquet_is_read_as_written(tmp_path: Path) -> None:
    TABLE.write_parquet(tmp_path / "all.parquet")
    assert rows(declared(kind="parquet", path="all.parquet"), tmp_path).equals(TABLE)


@pytest.mark.parametrize(("channels", "mode"), [(1, "L"), (3, "RGB")], ids=["grey", "colour"])
def test_pictures_become_rows_and_their_folders_the_target(channels: int, mode: str, tmp_path: Path) -> None:
    for name, shade in (("dark", 10), ("light", 200)):
        (tmp_path / name).mkdir()
        Image.new(mode, (4, 2), shade if mode == "L" else (shade, 0, 0)).save(tmp_path / name / "1.png")
    found = rows(declared(kind="images", path=".", height=2, width=4, channels=channels), tmp_path)
    assert found["target"].to_list() == ["dark", "light"]
    pixels = found.drop("target").to_numpy()
    assert pixels.shape == (2, 8 * channels)
    # Channels first: red is whole before green begins.
    assert pixels[:, :8].tolist() == [[10] * 8, [200] * 8]
    assert not pixels[:, 8:].any()


def test_what_is_no_picture_is_named(tmp_path: Path) -> None:
    (tmp_path / "dark").mkdir()
    (tmp_path / "dark" / "1.png").write_text("not a picture")
    with pytest.raises(DataError, match=r"1\.png` is not a picture"):
        rows(declared(kind="images", path=".", height=2, width=2), tmp_path)


class _Bucket:
    def __init__(self, objects: dict[str, bytes]) -> None:
        self.objects = objects

    def keys(self, prefix: str) -> list[str]:
        return [key for key in self.objects if key.startswith(prefix)]

    def get(self, key: str) -> bytes:
        return self.objects[key]


@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_objects_below_a_prefix_are_one_table(form: str, tmp_path: Path) -> None:
    def packed(table: pl.DataFrame) -> bytes:
        buffer = io.BytesIO()
        table.write_csv(buffer) if form == "csv" else table.write_parquet(buffer)
        return buffer.getvalue()

    asked: list[str] = []

    def bucket(name: str) -> _Bucket:
        asked.append(name)
        return _Bucket(
            {
                f"in/b.{form}": packed(TABLE[2:]),
                f"in/a.{form}": packed(TABLE[:2]),
                "in/readme.txt": b"",
                "x": b"",
            }
        )

    source = declared(kind="s3", prefix="s3://the-data/in/", format=form)
    assert rows(source, tmp_path, bucket=bucket).equals(TABLE)
    assert asked == ["the-data"]


def test_a_generator_gives_the_same_rows_each_time(tmp_path: Path) -> None:
    source = declared(
        kind="sklearn", set="regression", options={"n_samples": 20, "n_features": 5, "random_state": 7}
    )
    first, again = rows(source, tmp_path), rows(source, tmp_path)
    assert first.equals(again)
    assert first.shape == (20, 6)
    assert np.isfinite(first.to_numpy()).all()


@pytest.mark.parametrize(
    "source",
    [
        {"kind": "csv", "path": "none.csv"},
        {"kind": "csv", "path": "none-*.csv"},
        {"kind": "parquet", "path": "broken.parquet"},
        {"kind": "images", "path": "nowhere", "height": 2, "width": 2},
        {"kind": "csv", "path": "empty.csv"},
    ],
    ids=["file", "pattern", "broken", "folder", "empty"],
)
def test_a_source_that_gives_nothing_is_refused(source: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "broken.parquet").write_bytes(b"PAR1 not really")
    (tmp_path / "empty.csv").write_text("size,kind\n")
    with pytest.raises(DataError):
        rows(declared(**source), tmp_path)
