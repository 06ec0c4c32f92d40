"""A prepared set: named by its digest, the same everywhere, and held to it when read back."""

import subprocess
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from model_store.contract.errors import IntegrityError
from training.data.declared import Tokens
from training.data.prepared import load, prepare, tokens
from training.errors import DataError

FRUIT = """
name = "fruit"
task = "classification"
clean = [{ step = "drop_missing" }, { step = "drop_duplicates" }]
[source]
kind = "csv"
path = "fruit.csv"
[columns]
features = ["size", "weight"]
target = "kind"
[schema.size]
least = 0
"""


@pytest.fixture
def fruit(tmp_path: Path) -> Path:
    drawn = np.random.default_rng(5)
    table = pl.DataFrame(
        {
            "size": drawn.uniform(1, 9, 60).tolist(),
            "weight": drawn.uniform(1, 9, 60).tolist(),
            "kind": ["pear", "apple"] * 30,
            "grower": [f"g{number % 12}" for number in range(60)],
        }
    )
    table.write_csv(tmp_path / "fruit.csv")
    (tmp_path / "data.toml").write_text(FRUIT)
    return tmp_path


def test_a_set_says_what_became_of_its_rows(fruit: Path) -> None:
    with (fruit / "fruit.csv").open("a") as file:
        file.write(",3.0,pear,g1\n" + (fruit / "fruit.csv").read_text().splitlines()[1] + "\n")
    made = prepare(fruit / "data.toml", fruit / "kept")
    assert made.facts["rows"] == {"read": 62, "kept": 60, "train": 36, "validation": 12, "test": 12}
    assert made.facts["cleaned"] == [["drop_missing", 62, 61], ["drop_duplicates", 61, 60]]
    assert made.classes == ("apple", "pear")
    assert made.train.inputs.dtype == np.float32
    assert made.columns == ("size", "weight")


def test_the_digest_is_what_sha256sum_says_of_the_folder(fruit: Path) -> None:
    made = prepare(fruit / "data.toml", fruit / "kept")
    folder = fruit / "kept" / made.digest.hex
    said = subprocess.run(
        "find . -type f -printf '%P\\n' | LC_ALL=C sort | xargs sha256sum | sha256sum",
        shell=True,
        cwd=folder,
        capture_output=True,
        text=True,
        check=True,
    )
    assert said.stdout.split()[0] == made.digest.hex


def test_where_rows_come_from_does_not_change_what_they_are(fruit: Path) -> None:
    first = prepare(fruit / "data.toml", fruit / "kept")
    pl.read_csv(fruit / "fruit.csv").write_parquet(fruit / "fruit.parquet")
    (fruit / "data.toml").write_text(
        FRUIT.replace('"csv"', '"parquet"').replace("fruit.csv", "fruit.parquet")
    )
    assert prepare(fruit / "data.toml", fruit / "elsewhere").digest == first.digest
    (fruit / "data.toml").write_text(FRUIT + "[split]\nseed = 9\n")
    assert prepare(fruit / "data.toml", fruit / "kept").digest != first.digest


def test_a_set_whose_bytes_changed_is_refused(fruit: Path) -> None:
    made = prepare(fruit / "data.toml", fruit / "kept")
    folder = fruit / "kept" / made.digest.hex
    assert load(folder).digest == made.digest
    data = bytearray((folder / "test.targets.npy").read_bytes())
    data[-1] ^= 1
    (folder / "test.targets.npy").write_bytes(bytes(data))
    with pytest.raises(IntegrityError, match="has the digest"):
        load(folder)


def test_a_part_that_the_source_names_is_taken_and_held_to_the_leak_checks(fruit: Path) -> None:
    table = pl.read_csv(fruit / "fruit.csv")
    parts = ["train"] * 40 + ["validation"] * 10 + ["test"] * 10
    table.with_columns(part=pl.Series(parts)).write_csv(fruit / "fruit.csv")
    (fruit / "data.toml").write_text(FRUIT + '[split]\ncolumn = "part"\n')
    assert prepare(fruit / "data.toml", fruit / "kept").facts["rows"]["train"] == 40
    (fruit / "data.toml").write_text(
        FRUIT.replace('target = "kind"', 'target = "kind"\ngroup = "grower"') + '[split]\ncolumn = "part"\n'
    )
    with pytest.raises(DataError, match="groups have rows in more than one part"):
        prepare(fruit / "data.toml", fruit / "kept")


def test_equal_rows_in_two_parts_are_refused_with_the_remedy(fruit: Path) -> None:
    table = pl.read_csv(fruit / "fruit.csv")
    pl.concat([table] * 3).write_csv(fruit / "fruit.csv")
    (fruit / "data.toml").write_text(FRUIT.replace(', { step = "drop_duplicates" }', ""))
    with pytest.raises(DataError, match="stand in another part too"):
        prepare(fruit / "data.toml", fruit / "kept")


@pytest.mark.parametrize(
    ("row", "said"),
    [("-1.0,2.0,pear,g1", "breaks its schema"), ("inf,2.0,pear,g1", "without a finite value")],
    ids=["schema", "infinite"],
)
def test_rows_that_no_model_should_see_are_refused(row: str, said: str, fruit: Path) -> None:
    with (fruit / "fruit.csv").open("a") as file:
        file.write(row + "\n")
    with pytest.raises(DataError, match=said):
        prepare(fruit / "data.toml", fruit / "kept")


def test_words_become_the_same_numbers_everywhere() -> None:
    how = Tokens(length=4, vocabulary=1000)
    assert tokens("Where is my order", how) == tokens("where  is my ORDER please", how)
    assert tokens("order", how)[1:] == [0, 0, 0]
    # Written down once: a caller of yesterday's model sends these.
    assert tokens("order", how)[0] == 940


@pytest.mark.parametrize("grouped", [False, True], ids=["rows", "groups"])
def test_drawn_by_content_the_order_of_rows_is_not_part_of_a_set(fruit: Path, grouped: bool) -> None:
    by_content = FRUIT + '[split]\nby = "content"\n'
    if grouped:
        by_content = by_content.replace('target = "kind"', 'target = "kind"\ngroup = "grower"')
    (fruit / "data.toml").write_text(by_content)
    first = prepare(fruit / "data.toml", fruit / "kept")
    table = pl.read_csv(fruit / "fruit.csv")
    table.sample(fraction=1, shuffle=True, seed=3).write_csv(fruit / "fruit.csv")
    assert prepare(fruit / "data.toml", fruit / "kept").digest == first.digest
    table.with_columns(pl.col("size") + 1).write_csv(fruit / "fruit.csv")
    assert prepare(fruit / "data.toml", fruit / "kept").digest != first.digest


def test_a_set_that_was_prepared_before_keeps_its_name(fruit: Path) -> None:
    made = prepare(fruit / "data.toml", fruit / "kept")
    assert "by" not in made.facts["declared"]["split"]
    assert "engine" not in made.facts["declared"]
