"""``model_store.edge``: a file for phones beside a version, by its digest, and no other file in its place."""

from __future__ import annotations

from dataclasses import replace

import pytest

from model_store.adapters.memory import MemoryStore
from model_store.contract.digest import Digest
from model_store.contract.errors import IntegrityError, NotFoundError
from model_store.contract.keys import edge_key
from model_store.contract.manifest import NO_GOLDEN, ArtifactFile, Manifest
from model_store.edge import keep_litert, litert_digest, load_litert

MODEL = ArtifactFile("model.onnx", Digest.of(b"model"), 5)
MANIFEST = Manifest("digits", 1, (MODEL,), "model.onnx", (), (), NO_GOLDEN, "2026-05-17T10:30:05Z", "ana")
FILE = b"\x1c\x00\x00\x00TFL3"


def test_a_file_is_kept_once_and_read_back_by_the_manifest() -> None:
    """Law 1. What is loaded and the version's digest are as before: it is none of the artifact's files."""
    store = MemoryStore()
    said = keep_litert(store, "digits", FILE)
    assert keep_litert(store, "digits", FILE) == said == {"litert": str(Digest.of(FILE))}
    manifest = replace(MANIFEST, lineage=said)
    assert load_litert(store, manifest) == FILE
    assert (manifest.digest, manifest.size) == (MANIFEST.digest, MANIFEST.size)


def test_a_version_without_one_says_how_to_make_one() -> None:
    assert litert_digest(MANIFEST) is None
    with pytest.raises(NotFoundError, match="was published without a LiteRT file") as refused:
        load_litert(MemoryStore(), MANIFEST)
    assert "litert = true" in str(refused.value.hint)


def test_a_lost_file_and_another_file_are_told_apart_from_none() -> None:
    """Law 2."""
    manifest = replace(MANIFEST, lineage={"litert": str(Digest.of(FILE))})
    store = MemoryStore()
    with pytest.raises(IntegrityError, match="the store has lost the LiteRT file"):
        load_litert(store, manifest)
    store.put_once(edge_key(manifest.model, Digest.of(FILE)), b"another")
    with pytest.raises(IntegrityError, match="the LiteRT file of"):
        load_litert(store, manifest)
