"""``yard lock``: the lock file agrees with the store, or the command says how it does not."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from catalog.lock import load_lock
from model_store.contract.errors import CatalogError
from model_store.contract.manifest import Manifest

Put = Callable[[str, int, bytes], Manifest]
Yard = Callable[..., Any]

CATALOG = """
[stages.local]
runtime_layer = "build/layers/local"

[stages.prod]
runtime_layer = "build/layers/x86_64"

[models.digits]
target = "lambda"

[models.bert]
target = "sagemaker"
instance_type = "ml.g5.xlarge"

[models.bert.stages.prod]
versions = [3, 4]
"""


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "models.toml").write_text(CATALOG)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SWITCHYARD_CATALOG", raising=False)
    return tmp_path


def test_every_listed_version_is_written_down_with_its_digests(
    store: Any, put: Put, yard: Yard, project: Path, document: Callable[[Any], Any]
) -> None:
    manifests = {number: put("bert", number, f"model {number}".encode()) for number in (3, 4, 5)}
    assert document(yard("lock", "--stage", "prod", "--json")) == {
        "stage": "prod",
        "file": "models.lock",
        "stale": ["`bert:3` is not locked", "`bert:4` is not locked"],
        "written": True,
    }
    lock = load_lock(project / "models.lock")
    assert list(lock.stages["prod"]["bert"]) == [3, 4]
    found = lock.version("prod", "bert", 4)
    assert found.digest == manifests[4].digest
    assert (found.kind, found.entry, found.size) == ("onnx", "model.onnx", 7)


def test_locking_again_changes_nothing_and_other_stages_are_left_alone(
    store: Any, put: Put, yard: Yard, project: Path
) -> None:
    for number in (3, 4):
        put("bert", number, f"model {number}".encode())
    assert yard("lock", "--stage", "prod").exit_code == 0
    written = (project / "models.lock").read_text()
    assert yard("lock", "--stage", "prod").exit_code == 0
    assert yard("lock", "--stage", "local").exit_code == 0
    assert (project / "models.lock").read_text() == written


def test_check_writes_nothing_and_fails_while_the_file_is_stale(
    store: Any, put: Put, yard: Yard, project: Path
) -> None:
    for number in (3, 4):
        put("bert", number, f"model {number}".encode())
    stale = yard("lock", "--check", "--stage", "prod")
    assert stale.exit_code == 1
    assert "`bert:4` is not locked" in stale.stderr
    assert not (project / "models.lock").exists()
    yard("lock", "--stage", "prod")
    assert yard("lock", "--check", "--stage", "prod").exit_code == 0


def test_a_version_that_left_the_list_leaves_the_lock(
    store: Any, put: Put, yard: Yard, project: Path
) -> None:
    for number in (3, 4):
        put("bert", number, f"model {number}".encode())
    yard("lock", "--stage", "prod")
    (project / "models.toml").write_text(CATALOG.replace("[3, 4]", "[4]"))
    assert yard("lock", "--check", "--stage", "prod").exit_code == 1
    assert yard("lock", "--stage", "prod").exit_code == 0
    assert list(json.loads((project / "models.lock").read_text())["stages"]["prod"]["bert"]) == ["4"]


def test_a_listed_version_that_was_never_published_is_refused(store: Any, put: Put, yard: Yard) -> None:
    put("bert", 3, b"model")
    refused = yard("lock", "--stage", "prod").exception
    assert isinstance(refused, CatalogError)
    assert "`bert:4`" in str(refused)
    assert "models.bert.versions" in str(refused.hint)


def test_outside_a_project_there_is_nothing_to_lock(
    store: Any, yard: Yard, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))
    assert isinstance(yard("lock").exception, CatalogError)
