"""The digits model in a folder as a model layer holds it."""

from pathlib import Path

import pytest

from model_store.adapters.memory import MemoryStore
from model_store.contract.environment import FILES_FOLDER, MANIFEST_FILE
from model_store.contract.manifest import Manifest
from model_store.contract.names import ByVersion
from model_store.fetch import fetch
from model_store.publish import publish

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="session")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("package")
    store = MemoryStore()
    publish(store, "digits", ROOT / "examples/digits/v1/model.onnx", created_by="tests")
    manifest = fetch(store, ByVersion("digits", 1), folder / FILES_FOLDER)
    (folder / MANIFEST_FILE).write_bytes(manifest.to_json())
    return folder


@pytest.fixture
def manifest(package: Path) -> Manifest:
    return Manifest.from_json((package / MANIFEST_FILE).read_bytes())
