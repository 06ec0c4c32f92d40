"""``model_store.describe``: a baseline is made from any of three files, and says what it lacks."""

from __future__ import annotations

import csv
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
import pytest
from onnx import TensorProto, helper
from pyarrow import parquet

from model_store.adapters.memory import MemoryStore
from model_store.baseline import load_baseline
from model_store.contract.baseline import CATEGORY, INPUT, OUTPUT, Baseline
from model_store.contract.digest import Digest
from model_store.contract.errors import IntegrityError, InvalidArtifactError, NotFoundError
from model_store.contract.keys import baseline_key
from model_store.contract.tensors import TensorSpec
from model_store.describe import LEAST_ROWS, make_baseline
from model_store.promote import promote
from model_store.publish import publish
from model_store.source import Source

Save = Callable[..., Path]
ROWS = np.random.default_rng(7).normal(size=(120, 4)).astype(np.float32)


def made(path: Path, rows: Path, inputs: Sequence[TensorSpec] | None = None) -> Baseline:
    x, y = TensorSpec("x", "FP32", ("batch", 4)), TensorSpec("y", "FP32", ("batch", 4))
    source = Source("model.onnx", {"model.onnx": path}, "onnx")
    return make_baseline(source, inputs or (x,), (y,), rows)


def saved(tmp_path: Path, suffix: str, rows: Any = ROWS) -> Path:
    path: Path = tmp_path / f"rows.{suffix}"
    if suffix == "npz":
        np.savez(path, x=rows, answer=np.zeros(len(rows)))
    elif suffix == "csv":
        with path.open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["x[0]", "x[1]", "x[2]", "x[3]", "answer"])
            writer.writerows([*(repr(float(value)) for value in row), "?"] for row in rows)
    elif suffix == "lists.parquet":
        parquet.write_table(pyarrow.table({"x": rows.tolist()}), path)
    else:
        columns = {f"feature {at}": rows[:, at] for at in range(4)}
        parquet.write_table(pyarrow.table(columns), path)
    return path


@pytest.mark.parametrize("suffix", ["npz", "csv", "parquet", "lists.parquet"])
def test_every_kind_of_file_makes_the_same_baseline(save: Save, tmp_path: Path, suffix: str) -> None:
    path = save()
    from_file, from_arrays = made(path, saved(tmp_path, suffix)), made(path, saved(tmp_path, "npz"))
    assert from_file.features == from_arrays.features
    assert from_file.rows == 120


def test_outputs_are_those_of_the_model_itself(save: Save, tmp_path: Path) -> None:
    baseline = made(save(), saved(tmp_path, "npz"))
    by_name = {feature.name: feature for feature in baseline.features}
    assert {feature.side for feature in baseline.features} == {INPUT, OUTPUT}
    assert by_name["y[2]"].mean == pytest.approx(2 * by_name["x[2]"].mean, rel=1e-5)


def test_a_model_that_takes_one_row_at_a_time_is_asked_for_each(save: Save, tmp_path: Path) -> None:
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 4])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 4])
    path = save(inputs=[x], outputs=[y])
    rows = saved(tmp_path, "npz", ROWS.reshape(120, 1, 4))
    baseline = made(path, rows, [TensorSpec("x", "FP32", (1, 4))])
    assert [feature.rows for feature in baseline.features] == [120] * 8


def test_an_empty_cell_is_a_missing_number(save: Save, tmp_path: Path) -> None:
    path = saved(tmp_path, "csv")
    lines = path.read_text().splitlines()
    lines[1] = "," + lines[1].partition(",")[2]
    path.write_text("\n".join(lines))
    assert made(save(), path).features[0].missing == 1


@pytest.mark.parametrize(
    ("suffix", "rows", "said"),
    [
        ("npz", ROWS[: LEAST_ROWS - 1], "has 99 rows"),
        ("npz", ROWS[:, :3], "have shape"),
        ("lists.parquet", ROWS[:, :3], "have shape"),
        ("csv", ROWS[:, :3], "not as long as its heading"),
    ],
)
def test_a_file_that_does_not_fit_is_refused_with_its_reason(
    save: Save, tmp_path: Path, suffix: str, rows: Any, said: str
) -> None:
    with pytest.raises(InvalidArtifactError, match=said) as refused:
        made(save(), saved(tmp_path, suffix, rows))
    assert refused.value.hint


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("rows.txt", b"x", "neither .npz, .csv nor .parquet"),
        ("rows.parquet", b"no parquet", "is not Parquet"),
        ("rows.csv", b"a,b\n1,2\n", "no rows for the input `x`"),
        ("rows.csv", b"x[0],x[1],x[2],x[3]\n1,2,3,four\n", "holds what is no FP32"),
        ("rows.csv", b"\xff\xfe", "is not CSV"),
        ("rows.npz", b"no archive", "is not an .npz"),
    ],
)
def test_a_file_that_is_none_is_refused(
    save: Save, tmp_path: Path, name: str, content: bytes, said: str
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InvalidArtifactError, match=said):
        made(save(), tmp_path / name)


def test_words_and_numbers_of_a_table_become_what_the_model_takes(save: Save, tmp_path: Path) -> None:
    cat = helper.make_node("Identity", ["plan"], ["same"])
    plan = helper.make_tensor_value_info("plan", TensorProto.STRING, ["n", 1])
    same = helper.make_tensor_value_info("same", TensorProto.STRING, ["n", 1])
    path = save([cat], [plan], [same], [])
    rows = tmp_path / "rows.csv"
    rows.write_text("plan\n" + "gold\nfree\nfree\n" * 40)
    source = Source("model.onnx", {"model.onnx": path}, "onnx")
    spec = TensorSpec("plan", "BYTES", ("n", 1))
    baseline = make_baseline(source, [spec], [TensorSpec("same", "BYTES", ("n", 1))], rows)
    assert [feature.kind for feature in baseline.features] == [CATEGORY, CATEGORY]
    assert baseline.features[1].categories == {"free": 80, "gold": 40}


def test_the_manifest_names_the_digest_of_what_the_store_holds(
    store: MemoryStore, save: Save, tmp_path: Path
) -> None:
    """Law 2, for baselines."""
    manifest = publish(store, "m", save(), created_by="ana", baseline=saved(tmp_path, "npz")).manifest
    assert manifest.baseline is not None
    assert load_baseline(store, manifest).rows == 120
    assert store.get(baseline_key("m", manifest.baseline))
    assert manifest.baseline == Digest.of(store.get(baseline_key("m", manifest.baseline)))


def test_a_version_without_one_is_said_to_have_none(store: MemoryStore, save: Save, tmp_path: Path) -> None:
    manifest = publish(store, "m", save(), created_by="ana").manifest
    with pytest.raises(NotFoundError, match="without a baseline") as refused:
        load_baseline(store, manifest)
    assert "--baseline" in str(refused.value.hint)
    again = publish(store, "m", save(), created_by="ana", baseline=saved(tmp_path, "npz"))
    assert not again.created
    assert "keeps none" in again.remarks[0]


def test_a_baseline_travels_with_a_promotion(store: MemoryStore, save: Save, tmp_path: Path) -> None:
    manifest = publish(store, "m", save(), created_by="ana", baseline=saved(tmp_path, "npz")).manifest
    target = MemoryStore()
    there = promote(store, target, manifest.ref, from_stage="dev", promoted_by="ben").manifest
    assert load_baseline(target, there) == load_baseline(store, manifest)


def test_a_lost_baseline_is_no_baseline(store: MemoryStore, save: Save, tmp_path: Path) -> None:
    manifest = publish(store, "m", save(), created_by="ana", baseline=saved(tmp_path, "npz")).manifest
    with pytest.raises(IntegrityError, match="has lost the baseline"):
        load_baseline(MemoryStore(), manifest)
