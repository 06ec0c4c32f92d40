"""``model_store.lay_out``: a version as a folder of the bucket, whole and once."""

from __future__ import annotations

from dataclasses import replace

import pytest

from model_store.adapters.memory import MemoryStore
from model_store.contract.digest import Digest
from model_store.contract.errors import AlreadyExistsError, IntegrityError, InvalidArtifactError
from model_store.contract.keys import blob_key, manifest_key
from model_store.contract.manifest import ArtifactFile, Golden, Manifest
from model_store.contract.tensors import TensorData, TensorSpec
from model_store.lay_out import check_paths, is_laid_out, lay_out

FOLDER = "models/bert/served/000000004/"
FILES = {"model.onnx": b"graph", "weights/part.data": b"weights"}


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


@pytest.fixture
def manifest(store: MemoryStore) -> Manifest:
    for data in FILES.values():
        store.put_once(blob_key(Digest.of(data)), data)
    manifest = Manifest(
        model="bert",
        version=4,
        files=tuple(ArtifactFile(path, Digest.of(data), len(data)) for path, data in FILES.items()),
        entry="model.onnx",
        inputs=(TensorSpec("x", "FP32", (1,)),),
        outputs=(TensorSpec("y", "FP32", (1,)),),
        golden=Golden((TensorData("x", "FP32", (1,), (1.0,)),), (TensorData("y", "FP32", (1,), (2.0,)),)),
        created_at="2026-05-17T10:30:05Z",
        created_by="ana",
    )
    store.put_once(manifest_key("bert", 4), manifest.to_json())
    return manifest


def test_the_folder_holds_manifest_golden_sample_and_files(store: MemoryStore, manifest: Manifest) -> None:
    for _ in range(2):  # safe to repeat
        assert lay_out(store, manifest.ref, manifest.digest) == manifest
    assert [key.removeprefix(FOLDER) for key in store.keys(FOLDER)] == [
        "files/model.onnx",
        "files/weights/part.data",
        "golden.json",
        "manifest.json",
    ]
    assert store.get(f"{FOLDER}files/weights/part.data") == b"weights"
    slim = Manifest.from_json(store.get(f"{FOLDER}manifest.json"))
    assert slim == replace(manifest, golden=manifest.golden.without_values())
    assert b"2.0" in store.get(f"{FOLDER}golden.json")


class Dying(MemoryStore):
    """Dies at the write of a key that ends in ``at``."""

    at = ""

    def put_once(self, key: str, data: bytes) -> None:
        if self.at and key.endswith(self.at):
            raise KeyboardInterrupt
        super().put_once(key, data)


@pytest.mark.parametrize("at", ["files/model.onnx", "part.data", "golden.json", "/manifest.json"])
def test_a_crash_leaves_no_whole_folder_and_the_same_call_completes_it(
    store: MemoryStore, manifest: Manifest, at: str
) -> None:
    dying = Dying()
    for key in store.keys(""):
        dying.put_once(key, store.get(key))
    dying.at = at
    with pytest.raises(KeyboardInterrupt):
        lay_out(dying, manifest.ref, manifest.digest)
    assert not is_laid_out(dying, manifest.ref)
    dying.at = ""
    lay_out(dying, manifest.ref, manifest.digest)
    assert is_laid_out(dying, manifest.ref)


def test_another_version_than_the_locked_one_is_refused(store: MemoryStore, manifest: Manifest) -> None:
    """Law 2: the digest that was locked is the digest that is mounted."""
    with pytest.raises(IntegrityError, match="was locked") as caught:
        lay_out(store, manifest.ref, Digest("0" * 64))
    assert "yard lock" in str(caught.value.hint)
    assert not list(store.keys(FOLDER))


def test_a_folder_that_holds_other_bytes_is_not_written_over(store: MemoryStore, manifest: Manifest) -> None:
    """Law 1."""
    store.put_once(f"{FOLDER}files/model.onnx", b"other")
    with pytest.raises(AlreadyExistsError):
        lay_out(store, manifest.ref, manifest.digest)


@pytest.mark.parametrize("path", ["my model.onnx", "_hidden/x", "größe.bin"])
def test_a_name_that_is_no_key_is_refused_before_anything_is_copied(path: str, manifest: Manifest) -> None:
    """Law 8."""
    odd = replace(manifest, files=(ArtifactFile(path, Digest.of(b""), 0),), entry=path)
    with pytest.raises(InvalidArtifactError, match="cannot be served by an endpoint"):
        check_paths(odd)
    assert check_paths(manifest) is manifest
