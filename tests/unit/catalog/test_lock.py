"""``catalog.lock``: what a synth reads instead of asking a store."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from catalog.lock import Lock, LockedFile, LockedVersion, load_lock, lock_path, write_lock
from model_store.contract.digest import Digest
from model_store.contract.errors import CatalogError
from model_store.contract.names import ByVersion


def locked(version: int = 4, data: bytes = b"weights") -> LockedVersion:
    file = LockedFile("model.onnx", Digest.of(data), len(data))
    return LockedVersion(
        ByVersion("bert", version), Digest.of(data), Digest.of(b"manifest"), "onnx", "model.onnx", (file,)
    )


def test_the_lock_stands_beside_its_catalog() -> None:
    assert lock_path(Path("here/models.toml")) == Path("here/models.lock")


def test_a_lock_comes_back_as_it_was_written(tmp_path: Path) -> None:
    lock = Lock({"prod": {"bert": {10: locked(10), 4: locked(4)}}, "local": {"bert": {1: locked(1)}}})
    write_lock(tmp_path / "models.lock", lock)
    assert load_lock(tmp_path / "models.lock") == lock
    assert [path.name for path in tmp_path.iterdir()] == ["models.lock"]


def test_equal_locks_are_equal_files_in_the_order_of_numbers() -> None:
    one = Lock({"prod": {"bert": {10: locked(10), 4: locked(4)}}})
    other = Lock({"prod": {"bert": {4: locked(4), 10: locked(10)}}})
    assert one.to_text() == other.to_text()
    assert list(json.loads(one.to_text())["stages"]["prod"]["bert"]) == ["4", "10"]


def test_without_a_file_nothing_is_locked(tmp_path: Path) -> None:
    lock = load_lock(tmp_path / "models.lock")
    with pytest.raises(CatalogError, match="lists `bert:4` on stage `prod`") as caught:
        lock.version("prod", "bert", 4)
    assert caught.value.hint == "Run `yard lock --stage prod`."


def test_each_stage_has_its_own_versions() -> None:
    lock = Lock({"prod": {"bert": {4: locked(4)}}})
    assert lock.version("prod", "bert", 4) == locked(4)
    with pytest.raises(CatalogError):
        lock.version("local", "bert", 4)
    both = lock.with_stage("local", {"bert": {4: locked(4, b"other")}})
    assert both.version("prod", "bert", 4) == locked(4)


def test_every_difference_is_named() -> None:
    lock = Lock({"prod": {"bert": {1: locked(1), 3: locked(3), 4: locked(4)}}})
    other = replace(locked(3), manifest=Digest.of(b"other"))
    found = lock.differences("prod", {"bert": {2: locked(2), 3: other, 4: locked(4, b"retrained")}})
    assert found == [
        "`bert:2` is not locked",
        "`bert:1` is locked and not listed",
        "`bert:3` is locked with another manifest",
        f"`bert:4` is locked as {Digest.of(b'weights').short}… and is {Digest.of(b'retrained').short}…",
    ]
    assert lock.differences("prod", lock.stages["prod"]) == []


def test_a_version_weighs_what_its_files_weigh() -> None:
    assert locked(4, b"12345").size == 5


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{}", '{"schema": 1}', '{"schema": 1, "stages": {"prod": {"bert": {"4": {"sha256": "x"}}}}}'],
)
def test_what_is_no_lock_is_refused_with_a_way_out(tmp_path: Path, text: str) -> None:
    (tmp_path / "models.lock").write_text(text)
    with pytest.raises(CatalogError, match="is not a lock file") as caught:
        load_lock(tmp_path / "models.lock")
    assert "yard lock" in str(caught.value.hint)


def test_a_lock_of_a_later_schema_is_refused(tmp_path: Path) -> None:
    (tmp_path / "models.lock").write_text('{"schema": 2, "stages": {}}')
    with pytest.raises(CatalogError, match="has schema 2"):
        load_lock(tmp_path / "models.lock")


def test_a_folder_in_place_of_the_lock_is_refused(tmp_path: Path) -> None:
    (tmp_path / "models.lock").mkdir()
    with pytest.raises(CatalogError, match="cannot be read"):
        load_lock(tmp_path / "models.lock")


def test_a_path_that_leaves_the_artifact_is_refused(tmp_path: Path) -> None:
    text = Lock({"prod": {"bert": {4: locked()}}}).to_text().replace('"model.onnx"', '"../model.onnx"')
    (tmp_path / "models.lock").write_text(text)
    with pytest.raises(CatalogError, match="is not a lock file"):
        load_lock(tmp_path / "models.lock")
