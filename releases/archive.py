"""The model as a Lambda layer: an importable folder with the manifest and the artifact's files."""

from __future__ import annotations

import io
import json
import zipfile
from dataclasses import replace

from model_store.contract.environment import FILES_FOLDER, GOLDEN_FILE, MANIFEST_FILE, MODEL_PACKAGE
from model_store.contract.keys import blob_key
from model_store.contract.manifest import Manifest
from model_store.ports import ObjectStore

_FOLDER = f"python/{MODEL_PACKAGE}"
_EPOCH = (1980, 1, 1, 0, 0, 0)
_PLAIN_FILE = 0o100644 << 16


def model_archive(store: ObjectStore, manifest: Manifest) -> bytes:
    """Zip the version as a layer. The same version gives the same bytes.

    Every file is read from the store and checked against its digest (law 2). Whether it fits is decided
    before (``releases.placement``).
    """
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as archive:
        _add_manifest(archive, manifest)
        for file in sorted(manifest.files, key=lambda file: file.path):
            data = file.digest.verify(store.get(blob_key(file.digest)))
            _add(archive, f"{_FOLDER}/{FILES_FOLDER}/{file.path}", data)
    return buffer.getvalue()


def manifest_archive(manifest: Manifest) -> bytes:
    """Zip what a gateway needs of a version: all but the files, which its endpoint has (ADR 31)."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as archive:
        _add_manifest(archive, manifest)
    return buffer.getvalue()


def _add_manifest(archive: zipfile.ZipFile, manifest: Manifest) -> None:
    _add(archive, f"{_FOLDER}/__init__.py", b"")
    slim = replace(manifest, golden=manifest.golden.without_values())
    _add(archive, f"{_FOLDER}/{MANIFEST_FILE}", slim.to_json())
    _add(archive, f"{_FOLDER}/{GOLDEN_FILE}", json.dumps(manifest.golden.as_json()).encode())


def _add(archive: zipfile.ZipFile, path: str, data: bytes) -> None:
    entry = zipfile.ZipInfo(path, _EPOCH)
    entry.compress_type = zipfile.ZIP_DEFLATED
    entry.external_attr = _PLAIN_FILE
    archive.writestr(entry, data)
