"""The data step on Spark: the same folder as without it, read from files or from the archive of a bundle."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from model_store.contract.errors import SwitchyardError
from training.data.prepared import load, prepare
from training.data.spark_job import main, prepare_on_spark, run
from training.errors import DataError, RecipeError

ROOT = Path(__file__).resolve().parents[4]
DATA = """
name = "fruit"
task = "classification"
engine = "spark"
clean = [{ step = "drop_missing" }, { step = "drop_duplicates" }, { step = "clip", columns = ["size"], least = 2, most = 8 }]
[source]
kind = "s3"
prefix = "s3:///data/fruit/"
format = "FORMAT"
[columns]
features = ["size", "count"]
target = "kind"
[schema.size]
least = 0
[split]
by = "content"
stratify = true
"""
RECIPE = """
model = "fruit"
data = "data.toml"
[network]
name = "linear"
[fit]
epochs = 1
[export]
input = "size"
"""


class Files:
    """A bucket that is a folder."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def keys(self, prefix: str) -> list[str]:
        found = (path.relative_to(self._root).as_posix() for path in self._root.rglob("*") if path.is_file())
        return [key for key in found if key.startswith(prefix)]

    def get(self, key: str) -> bytes:
        return (self._root / key).read_bytes()


def fruit(rows: int = 120) -> pl.DataFrame:
    drawn = np.random.default_rng(5)
    return pl.DataFrame(
        {
            "size": [None, *drawn.uniform(1, 9, rows - 1).tolist()],
            "count": drawn.integers(0, 40, rows).tolist(),
            "kind": ["pear", "apple"] * (rows // 2),
            "day": ["2026-11-22"] * rows,
            "said": ['he said "two", then left', "one\ntwo"] * (rows // 2),
        }
    )


def lay(folder: Path, form: str) -> Path:
    """Write the rows as two files of a bucket, and the declaration beside; return its path."""
    below = folder / "bucket" / "data" / "fruit"
    below.mkdir(parents=True)
    rows = fruit()
    for name, part in (("a", rows[:70]), ("b", pl.concat([rows[70:], rows[3:9]]))):
        if form == "csv":
            part.write_csv(below / f"{name}.csv")
        else:
            part.write_parquet(below / f"{name}.parquet")
    (below / "_SUCCESS").touch()
    (folder / "recipe.toml").write_text(RECIPE)
    (folder / "data.toml").write_text(DATA.replace("FORMAT", form))
    return folder / "data.toml"


@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_spark_makes_the_set_that_polars_makes(spark: Any, tmp_path: Path, form: str) -> None:
    """Law: a set's name follows from its rows."""
    path = lay(tmp_path, form)
    here = prepare(path, tmp_path / "here", bucket=lambda _: Files(tmp_path / "bucket"))
    there = prepare_on_spark(path, tmp_path / "there", spark, bucket="bucket", root=f"file://{tmp_path}")
    assert there.digest == here.digest
    assert there.facts["rows"] == {"read": 126, "kept": 119, "train": 71, "validation": 24, "test": 24}


def test_the_step_leaves_what_later_steps_read(spark: Any, tmp_path: Path) -> None:
    lay(tmp_path, "parquet")
    out = tmp_path / "out"
    out.mkdir()
    run(tmp_path / "recipe.toml", out, spark, bucket="bucket", root=f"file://{tmp_path}")
    facts = json.loads((out / "facts.json").read_text())
    assert facts["model"] == "fruit"
    assert str(load(out / facts["folder"]).digest) == facts["digest"]


def test_rows_that_are_not_there_and_files_that_are_none_are_said(spark: Any, tmp_path: Path) -> None:
    path = lay(tmp_path, "parquet")
    with pytest.raises(DataError, match="cannot be read"):
        prepare_on_spark(path, tmp_path / "kept", spark, bucket="nothing", root=f"file://{tmp_path}")
    (tmp_path / "bucket/data/fruit/c.parquet").write_bytes(b"no parquet")
    with pytest.raises(DataError, match="cannot be read"):
        prepare_on_spark(path, tmp_path / "kept", spark, bucket="bucket", root=f"file://{tmp_path}")


def test_a_cell_that_is_not_what_its_column_is_is_no_empty_cell(spark: Any, tmp_path: Path) -> None:
    path = lay(tmp_path, "csv")
    (tmp_path / "bucket/data/fruit/c.csv").write_text("size,count,sort\n1.5,3,pear\n")
    with pytest.raises(SwitchyardError):
        prepare_on_spark(path, tmp_path / "kept", spark, bucket="bucket", root=f"file://{tmp_path}")


def test_a_source_that_spark_does_not_read_is_refused(spark: Any, tmp_path: Path) -> None:
    path = lay(tmp_path, "csv")
    path.write_text(path.read_text().replace('engine = "spark"', "").replace('by = "content"', ""))
    with pytest.raises(RecipeError, match="cannot be prepared on Spark"):
        prepare_on_spark(path, tmp_path / "kept", spark, bucket="bucket", root=f"file://{tmp_path}")


def test_the_recipe_is_found_in_the_archive_that_the_code_came_in(tmp_path: Path) -> None:
    """As EMR runs it: a script, the rest of the code in one zip file."""
    archive = tmp_path / "code.zip"
    with zipfile.ZipFile(archive, "w") as made:
        for package in ("training", "model_store", "drift"):
            for path in sorted((ROOT / package).rglob("*.py")):
                made.write(path, path.relative_to(ROOT).as_posix())
        made.writestr("pipeline/recipe.toml", RECIPE)
    script = tmp_path / "spark_job.py"
    script.write_bytes((ROOT / "training/data/spark_job.py").read_bytes())
    asked = "import spark_job; print((spark_job._code() / 'pipeline/recipe.toml').read_text())"
    found = subprocess.run(
        [sys.executable, "-c", asked],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": f"{tmp_path}:{archive}"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert found.stdout.strip() == RECIPE.strip()


def test_what_cannot_be_done_is_said_on_stderr(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("training.data.spark_job._session", object)
    assert main(["--recipe", "nowhere/recipe.toml", "--bucket", "b", "--out", "s3://b/out/"]) == 1
    assert "nowhere/recipe.toml` cannot be read" in capsys.readouterr().err
