"""``model_store.reports``: a page beside a version, by its digest, and no other page in its place."""

from __future__ import annotations

from dataclasses import replace

import pytest

from model_store.adapters.memory import MemoryStore
from model_store.contract.digest import Digest
from model_store.contract.errors import IntegrityError, NotFoundError
from model_store.contract.keys import report_key
from model_store.contract.manifest import NO_GOLDEN, ArtifactFile, Manifest
from model_store.reports import keep_report, load_report, report_digest

MODEL = ArtifactFile("model.onnx", Digest.of(b"model"), 5)
MANIFEST = Manifest("digits", 1, (MODEL,), "model.onnx", (), (), NO_GOLDEN, "2026-05-17T10:30:05Z", "ana")
PAGE = b"<!doctype html>"


def test_a_page_is_kept_once_and_read_back_by_the_manifest() -> None:
    store = MemoryStore()
    said = keep_report(store, "digits", PAGE)
    assert keep_report(store, "digits", PAGE) == said == {"report": str(Digest.of(PAGE))}
    manifest = replace(MANIFEST, lineage=said)
    assert load_report(store, manifest) == PAGE


def test_a_version_without_one_says_how_to_make_one() -> None:
    assert report_digest(MANIFEST) is None
    with pytest.raises(NotFoundError, match="was published without a report") as refused:
        load_report(MemoryStore(), MANIFEST)
    assert "--publish" in str(refused.value.hint)


def test_a_lost_page_and_another_page_are_told_apart_from_none() -> None:
    """Law 2."""
    manifest = replace(MANIFEST, lineage={"report": str(Digest.of(PAGE))})
    store = MemoryStore()
    with pytest.raises(IntegrityError, match="the store has lost the report"):
        load_report(store, manifest)
    store.put_once(report_key(manifest.model, Digest.of(PAGE)), b"another")
    with pytest.raises(IntegrityError, match="the report of"):
        load_report(store, manifest)
