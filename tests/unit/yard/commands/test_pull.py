"""``yard pull``: the files of a version in a folder, from the store or from the cache."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from model_store.contract.errors import AlreadyExistsError
from model_store.contract.manifest import Manifest

Put = Callable[[str, int, bytes], Manifest]
Yard = Callable[..., Any]


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder and a cache of this test's own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    for name in ("SWITCHYARD_CACHE", "SWITCHYARD_CACHE_BYTES"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def cached(here: Path) -> list[Path]:
    return [path for path in (here / "cache").rglob("*") if path.is_file() and path.name != ".lock"]


def test_the_files_are_in_a_new_folder_named_after_the_version(
    store: Any, put: Put, yard: Yard, here: Path
) -> None:
    put("digits", 2, b"model")
    done = yard("pull", "digits:2")
    assert (done.exit_code, done.stdout) == (0, "digits-2\n")
    assert (here / "digits-2" / "model.onnx").read_bytes() == b"model"
    assert [path.read_bytes() for path in cached(here)] == [b"model"]


def test_the_folder_may_be_named_and_the_answer_be_json(
    store: Any, put: Put, yard: Yard, here: Path, document: Callable[[Any], Any]
) -> None:
    manifest = put("digits", 2, b"model")
    assert document(yard("pull", "digits:2", "deep/er", "--no-cache", "--json")) == {
        "model": "digits",
        "version": 2,
        "digest": str(manifest.digest),
        "size": 5,
        "folder": str(here / "deep" / "er"),
        "files": ["model.onnx"],
    }
    assert cached(here) == []


def test_where_the_cache_is_and_how_large_the_environment_says(
    store: Any, put: Put, yard: Yard, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put("digits", 2, b"model")
    monkeypatch.setenv("SWITCHYARD_CACHE", str(here / "cache" / "elsewhere"))
    monkeypatch.setenv("SWITCHYARD_CACHE_BYTES", "4")
    assert yard("pull", "digits:2", "a").exit_code == 0
    assert cached(here) == []
    monkeypatch.setenv("SWITCHYARD_CACHE_BYTES", "5")
    assert yard("pull", "digits:2", "b").exit_code == 0
    (kept,) = cached(here)
    assert kept.is_relative_to(here / "cache" / "elsewhere")
    monkeypatch.setenv("SWITCHYARD_CACHE_BYTES", "five")
    assert yard("pull", "digits:2", "c").exit_code == 2


def test_a_folder_that_holds_something_else_is_left_alone(
    store: Any, put: Put, yard: Yard, here: Path
) -> None:
    put("digits", 2, b"model")
    (here / "digits-2").mkdir()
    (here / "digits-2" / "mine.txt").write_text("mine")
    assert isinstance(yard("pull", "digits:2").exception, AlreadyExistsError)
    assert [path.name for path in (here / "digits-2").iterdir()] == ["mine.txt"]
