"""``releases.collected``: what stays of a Lambda version that a collection took."""

from __future__ import annotations

import json

import pytest

from model_store.adapters.memory import MemoryStore
from model_store.contract.keys import collected_key
from releases.collected import bury, collected
from releases.records import Prepared


def prepared(version: int, lambda_version: str, base: str = "ab12") -> Prepared:
    return Prepared("digits", version, f"sha256:{version}", base, lambda_version)


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


def test_what_was_buried_is_gone_by_model_version_and_lambda_version(store: MemoryStore) -> None:
    assert collected(store, "digits") == frozenset()
    bury(store, [prepared(7, "31"), prepared(0, "1", base="")], by="ann", why="old", at="2026-11-22")
    assert collected(store, "digits") == {(7, "31"), (0, "1")}
    assert collected(store, "digits-eu") == frozenset()


def test_a_tombstone_says_who_when_and_why_and_the_first_word_stands(store: MemoryStore) -> None:
    """Law 10: what says why something went is never written over."""
    for by in ("ann", "bob"):
        bury(store, [prepared(7, "31")], by=by, why="old", at="2026-11-22")
    stone = json.loads(store.get(collected_key("digits", 7, "ab12", 31)))
    assert stone == {"at": "2026-11-22", "by": "ann", "digest": "sha256:7", "why": "old"}
