"""``model_store.known``: identical bytes are found in a handful of calls, and a hint is never believed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from model_store.adapters.memory import MemoryStore
from model_store.contract.digest import Digest
from model_store.contract.keys import digest_key, digest_prefix, indexed_key, indexed_prefix, manifest_key
from model_store.contract.manifest import NO_GOLDEN, ArtifactFile, Manifest
from model_store.known import look_up, write_down
from model_store.publish import publish
from model_store.tombstones import Tombstone, bury
from tests.unit.model_store.shelf import Shelf

MODEL = "bert"


def manifest(version: int, content: str) -> Manifest:
    """A version as ``publish`` would make it, of bytes that nobody has to store."""
    file = ArtifactFile("model.safetensors", Digest.of(content.encode()), len(content))
    return Manifest(
        model=MODEL,
        version=version,
        files=(file,),
        entry=file.path,
        inputs=(),
        outputs=(),
        golden=NO_GOLDEN,
        created_at="2026-01-01T00:00:00Z",
        created_by="ana",
        kind="safetensors",
    )


def digest_of(content: str) -> Digest:
    return manifest(1, content).digest


class Counting:
    """Counts the calls to a store, and the keys that its listings give."""

    def __init__(self, store: MemoryStore) -> None:
        self._store = store
        self.calls: Counter[str] = Counter()
        self.listed = 0

    def __getattr__(self, verb: str) -> Any:
        def call(*args: Any, **named: Any) -> Any:
            self.calls[verb] += 1
            return getattr(self._store, verb)(*args, **named)

        return call

    def keys(self, prefix: str, after: str | None = None) -> Iterator[str]:
        self.calls["keys"] += 1
        for key in self._store.keys(prefix, after):
            self.listed += 1
            yield key


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


def add(store: MemoryStore, content: str, *, hints: bool = True) -> Manifest:
    """Publish as far as the manifest, and with ``hints`` to the end."""
    known = look_up(store, MODEL, None)
    made = manifest(known.free, content)
    assert store.try_put_once(manifest_key(MODEL, made.version), made.to_json())
    if hints:
        write_down(store, made, known)
    return made


def test_a_model_without_versions_begins_with_one(store: MemoryStore) -> None:
    known = look_up(store, MODEL, digest_of("a"))
    assert (known.free, known.same) == (1, None)


def test_the_newest_version_with_the_bytes_is_found(store: MemoryStore) -> None:
    for content in ("a", "b", "a", "c"):
        add(store, content)
    known = look_up(store, MODEL, digest_of("a"))
    assert known.same == manifest(3, "a")
    assert known.free == 5
    assert look_up(store, MODEL, digest_of("d")).same is None


def test_ten_thousand_versions_take_as_many_calls_as_two() -> None:
    """Identical bytes are found without reading all manifests."""
    counted = []
    for count in (2, 10_000):
        many = MemoryStore()
        for number in range(1, count + 1):
            one = manifest(number, f"content {number}")
            many.put_once(manifest_key(MODEL, number), one.to_json())
            many.put_once(digest_key(MODEL, one.digest, number), b"{}")
            many.put_once(indexed_key(MODEL, number), b"{}")
        counting = Counting(many)
        known = look_up(counting, MODEL, digest_of("content 1"))
        assert known.same == manifest(1, "content 1")
        assert known.free == count + 1
        write_down(counting, manifest(known.free, "another"), known)
        counted.append((dict(counting.calls), counting.listed))
    assert counted[0] == counted[1]
    assert counted[1] == ({"keys": 3, "get": 1, "exists": 1, "try_put_once": 2}, 2)


# Crashes


@pytest.mark.parametrize("written", ["nothing", "the digest"])
def test_what_a_dead_publisher_left_unsaid_is_found_and_then_said(store: MemoryStore, written: str) -> None:
    """Law 1: the manifest is the commit point; publishing the same bytes again is the same version."""
    add(store, "a")
    unsaid = add(store, "b", hints=False)
    if written == "the digest":
        store.put_once(digest_key(MODEL, unsaid.digest, 2), b"{}")
    assert look_up(store, MODEL, unsaid.digest).same == unsaid

    add(store, "c")
    assert list(store.keys(digest_prefix(MODEL, unsaid.digest))) == [digest_key(MODEL, unsaid.digest, 2)]
    counting = Counting(store)
    assert look_up(counting, MODEL, unsaid.digest).same == unsaid
    assert counting.calls["get"] == 1


def test_a_store_that_has_no_hints_yet_gets_all_of_them_with_the_next_version(store: MemoryStore) -> None:
    for content in ("a", "b", "c"):
        add(store, content, hints=False)
    assert look_up(store, MODEL, digest_of("b")).same == manifest(2, "b")
    add(store, "d")
    assert next(store.keys(indexed_prefix(MODEL))) == indexed_key(MODEL, 4)
    for number, content in enumerate("abcd", start=1):
        assert store.exists(digest_key(MODEL, digest_of(content), number))


def test_a_slow_publisher_takes_nothing_back(store: MemoryStore) -> None:
    slow = look_up(store, MODEL, None)
    made = add(store, "a", hints=False)
    add(store, "b")
    write_down(store, made, slow)
    assert next(store.keys(indexed_prefix(MODEL))) == indexed_key(MODEL, 2)
    assert look_up(store, MODEL, None).free == 3


# Hints are not believed


def test_a_hint_is_looked_up_in_the_manifest_it_names(store: MemoryStore) -> None:
    """Law 1: the manifest decides what a version is."""
    add(store, "a")
    add(store, "b")
    for number in (2, 77):
        store.put_once(digest_key(MODEL, digest_of("a"), number), b"{}")
    assert look_up(store, MODEL, digest_of("a")).same == manifest(1, "a")


def test_a_version_that_was_taken_away_is_passed_over(store: MemoryStore) -> None:
    """Law 10: its number is never used again, and its bytes are published anew."""
    add(store, "a")
    gone = add(store, "a")
    stone = Tombstone(MODEL, 2, str(gone.digest), 1, gone.created_at, "2026-02-01T00:00:00Z", "bo", "old")
    assert bury(store, stone)
    known = look_up(store, MODEL, digest_of("a"))
    assert known.same == manifest(1, "a")
    assert known.free == 3


def test_a_manifest_that_cannot_be_read_is_named_and_stops_nobody(store: MemoryStore) -> None:
    add(store, "a")
    store.put_once(manifest_key(MODEL, 2), b"{}")
    known = look_up(store, MODEL, digest_of("b"))
    assert known.remarks == ["the manifest of `bert:2` cannot be read"]
    assert known.free == 3
    add(store, "b")
    assert look_up(store, MODEL, digest_of("a")).same == manifest(1, "a")


def test_a_publish_finds_its_bytes_by_the_hint_alone() -> None:
    """The look is used: a version whose manifest is no newest one is found without reading others."""
    shelf = Shelf()
    first = shelf.publish("one").manifest
    for content in ("two", "three", "four"):
        shelf.publish(content)
    counting = Counting(shelf.store)
    again = publish(counting, MODEL, shelf.artifact("one"), created_by="bo")
    assert not again.created
    assert again.manifest == replace(first)
    assert counting.calls["get"] == 1
