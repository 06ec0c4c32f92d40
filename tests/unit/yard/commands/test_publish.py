"""``yard publish`` and ``yard import``: what a person says becomes part of the version."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from model_store.adapters.memory import MemoryStore
from model_store.contract.errors import InvalidArtifactError, InvalidNameError, NotFoundError
from model_store.contract.names import ByVersion
from model_store.versions import load_manifest
from tests.unit.model_store.test_safetensors_file import CONFIG, GOOD, write
from tests.unit.model_store.test_torch_archive import SCRIPT, WHOLE, save
from yard import deployment

Yard = Callable[..., Any]
Document = Callable[[Any], Any]


@pytest.fixture(autouse=True)
def somebody(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(deployment, "caller", lambda: "ana")
    monkeypatch.delenv("SWITCHYARD_CATALOG", raising=False)
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def bert(tmp_path: Path) -> Path:
    folder = tmp_path / "bert"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(CONFIG))
    (folder / "LICENSE").write_text("Apache")
    return write(folder / "model.safetensors", GOOD).parent


def test_what_is_said_of_a_version_is_kept_with_it(
    store: MemoryStore, bert: Path, yard: Yard, document: Document
) -> None:
    document(yard("publish", "bert", str(bert), "--json"))
    words = ("--parent", "bert:1", "--step", "pruned", "--data-digest", "ab" * 32, "--metric", "f1=0.9")
    done = document(yard("publish", "bert", str(bert), "--new", "--note", "half", *words, "--json"))
    assert (done["version"], done["kind"], done["created"]) == (2, "safetensors", True)
    assert "has no golden sample" in done["remarks"][0]
    kept = load_manifest(store, ByVersion("bert", 2))
    assert (kept.lineage["parent"], kept.lineage["step"]) == ("bert:1", "pruned")
    assert kept.lineage["data"] == "sha256:" + "ab" * 32
    assert "numpy" in kept.lineage["packages"]
    assert (kept.note, kept.metrics, kept.created_by) == ("half", {"f1": 0.9}, "ana")


def test_publishing_again_says_nothing_of_what_was_only_seen(
    store: MemoryStore, bert: Path, yard: Yard, document: Document
) -> None:
    document(yard("publish", "bert", str(bert), "--json"))
    again = document(yard("publish", "bert", str(bert), "--json"))
    assert (again["created"], again["remarks"]) == (False, [])


def test_programs_and_code_are_taken_knowingly(
    store: MemoryStore, tmp_path: Path, yard: Yard, document: Document
) -> None:
    """Law 12: by explicit choice."""
    script, whole = save(tmp_path, SCRIPT, "script.pt"), save(tmp_path, WHOLE, "whole.pt")
    for path in (script, whole):
        assert isinstance(yard("publish", "net", str(path)).exception, InvalidArtifactError)
    assert list(store.keys("")) == []
    assert document(yard("publish", "net", str(script), "--kind", "torchscript", "--json"))["kind"] == (
        "torchscript"
    )
    assert document(yard("publish", "net", str(whole), "--allow-code", "--json"))["kind"] == "torch-pickle"


def test_a_parent_that_is_not_there_is_refused_before_anything_is_stored(
    store: MemoryStore, bert: Path, yard: Yard
) -> None:
    assert isinstance(yard("publish", "bert", str(bert), "--parent", "bert:7").exception, NotFoundError)
    assert list(store.keys("")) == []


def test_an_import_says_what_was_left_out_and_keeps_the_licence(
    store: MemoryStore, bert: Path, yard: Yard, document: Document
) -> None:
    (bert / "pytorch_model.bin").write_bytes(b"PK\x03\x04")
    done = yard("import", f"hf:{bert}", "bert", "--json")
    assert "left out: `pytorch_model.bin`" in done.stderr
    assert document(done)["kind"] == "safetensors"
    lineage = load_manifest(store, ByVersion("bert", 1)).lineage
    assert (lineage["imported"], lineage["licence"]) == ("hf", "LICENSE")


def test_an_import_of_nothing_known_is_misspelled(store: MemoryStore, yard: Yard) -> None:
    assert isinstance(yard("import", "docker:image", "bert").exception, InvalidNameError)


def test_a_metric_without_a_number_is_misspelled(store: MemoryStore, bert: Path, yard: Yard) -> None:
    assert yard("publish", "bert", str(bert), "--metric", "f1").exit_code == 2
