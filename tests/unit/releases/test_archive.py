"""``releases.archive``: the model as a layer."""

from __future__ import annotations

import io
import json
import zipfile
from dataclasses import replace

import pytest

from model_store.adapters.memory import MemoryStore
from model_store.contract.errors import IntegrityError
from model_store.contract.keys import blob_key
from model_store.contract.manifest import Golden, Manifest
from model_store.versions import load_manifest
from releases.archive import model_archive
from tests.unit.releases.world import World


def manifest_of(world: World) -> Manifest:
    return load_manifest(world.store, world.publish(7))


def test_the_archive_is_an_importable_folder_with_manifest_and_files(world: World) -> None:
    manifest = manifest_of(world)
    with zipfile.ZipFile(io.BytesIO(model_archive(world.store, manifest))) as archive:
        assert sorted(archive.namelist()) == [
            "python/switchyard_model/__init__.py",
            "python/switchyard_model/files/model.onnx",
            "python/switchyard_model/golden.json",
            "python/switchyard_model/manifest.json",
        ]
        carried = Manifest.from_json(archive.read("python/switchyard_model/manifest.json"))
        golden = Golden.from_json(json.loads(archive.read("python/switchyard_model/golden.json")))
        assert replace(carried, golden=golden) == manifest


def test_the_same_version_gives_the_same_bytes(world: World) -> None:
    manifest = manifest_of(world)
    assert model_archive(world.store, manifest) == model_archive(world.store, manifest)


def test_bytes_that_are_not_what_was_published_are_refused(world: World) -> None:
    """Law 2: the digest is checked at release."""
    manifest = manifest_of(world)
    swapped = MemoryStore()
    swapped.put_once(blob_key(manifest.files[0].digest), b"something else")
    with pytest.raises(IntegrityError):
        model_archive(swapped, manifest)
