"""``model_store.versions``: which models and versions there are, and errors that say it."""

import subprocess
import sys
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import pytest

from model_store.adapters.memory import MemoryStore
from model_store.contract.errors import IntegrityError, InvalidNameError, NotFoundError
from model_store.contract.keys import manifest_key, tombstone_key
from model_store.contract.names import ByVersion
from model_store.publish import publish
from model_store.versions import latest, listed, load_manifest, load_manifests, models, recent, versions

SaveModel = Callable[..., Path]


@pytest.fixture
def filled(store: MemoryStore, save: SaveModel, clock: Callable[[], datetime]) -> MemoryStore:
    """Holds ``digits:1`` to ``digits:3`` and ``digits-eu:1``."""
    for scale in (1.0, 2.0, 3.0):
        publish(store, "digits", save(scale=scale), created_by="ana", clock=clock)
    publish(store, "digits-eu", save(), created_by="ana", clock=clock)
    return store


def hint_of(store: MemoryStore, model: str, version: int) -> str:
    with pytest.raises(NotFoundError) as refusal:
        load_manifest(store, ByVersion(model, version))
    assert refusal.value.hint is not None
    return refusal.value.hint


def test_versions_are_numbers_in_order(filled: MemoryStore) -> None:
    assert versions(filled, "digits") == [1, 2, 3]
    assert versions(filled, "digits-eu") == [1]
    assert versions(filled, "unknown") == []


def test_a_listing_says_when_each_version_was_published_and_reads_none(clock: Callable[[], datetime]) -> None:
    store = MemoryStore(clock)
    for number in (9, 10, 2):
        store.put_once(manifest_key("digits", number), b"not even a manifest")
    store.put_once(f"{manifest_key('digits', 1)}.tmp", b"")
    store.put_once(tombstone_key("digits", 9), b"{}")
    assert [(str(version.ref), version.published_at) for version in listed(store, "digits")] == [
        ("digits:2", clock()),
        ("digits:10", clock()),
    ]
    assert listed(store, "unknown") == []


def test_the_order_is_that_of_numbers_also_beyond_nine(store: MemoryStore) -> None:
    for number in (9, 10, 100, 2):
        store.put_once(manifest_key("digits", number), b"")
    assert versions(store, "digits") == [2, 9, 10, 100]
    assert latest(store, "digits") == 100


def test_what_is_not_a_manifest_is_no_version(store: MemoryStore) -> None:
    for name in ("000000001.json", "1.json", "000000002.tombstone", "notes.txt"):
        store.put_once(f"models/digits/versions/{name}", b"")
    assert versions(store, "digits") == [1]


def test_models_are_those_with_a_version(filled: MemoryStore) -> None:
    filled.put_once("models/planned/bases/000000001.json", b"{}")
    filled.put_once("models/digits/releases/live/000000001.json", b"{}")
    assert models(filled) == ["digits", "digits-eu"]
    assert models(MemoryStore()) == []


def test_the_latest_version_is_the_newest(filled: MemoryStore) -> None:
    assert latest(filled, "digits") == 3
    with pytest.raises(NotFoundError, match="no version of `digit` was ever published"):
        latest(filled, "digit")


def test_a_misspelled_model_is_guessed(filled: MemoryStore) -> None:
    assert hint_of(filled, "digit", 1) == "Did you mean `digits`?"


def test_an_unknown_model_is_told_which_there_are(filled: MemoryStore) -> None:
    assert hint_of(filled, "fraud", 1) == "Use one that exists: `digits`, `digits-eu`."


def test_an_empty_store_says_how_to_begin(store: MemoryStore) -> None:
    assert hint_of(store, "digits", 1) == "Publish it first: `yard publish digits PATH`."


def test_an_unknown_version_is_told_which_there_are(filled: MemoryStore) -> None:
    assert hint_of(filled, "digits", 4) == "Use one of `digits:1` to `digits:3`."
    assert hint_of(filled, "digits-eu", 2) == "Use `digits-eu:1`, the only version there is."
    filled.put_once(manifest_key("digits", 7), b"")
    assert hint_of(filled, "digits", 5) == (
        "Use one that exists; the newest are `digits:1`, `digits:2`, `digits:3`, `digits:7`."
    )


def test_a_name_that_is_none_is_refused(store: MemoryStore) -> None:
    with pytest.raises(InvalidNameError):
        versions(store, "../digits")
    with pytest.raises(InvalidNameError):
        load_manifest(store, ByVersion("Digits", 1))


def test_a_manifest_under_anothers_name_is_refused(filled: MemoryStore) -> None:
    """Law 2: answers name the exact version, so a manifest must be about the version asked for."""
    filled.put_once(manifest_key("digits", 9), filled.get(manifest_key("digits", 1)))
    with pytest.raises(IntegrityError, match="`digits:9` is that of `digits:1`"):
        load_manifest(filled, ByVersion("digits", 9))


def test_many_manifests_come_in_the_order_asked(filled: MemoryStore) -> None:
    asked = [ByVersion("digits", number) for number in (3, 1, 2, 1)]
    assert [manifest.ref for manifest in load_manifests(filled, asked)] == asked
    with pytest.raises(NotFoundError, match="digits:8"):
        load_manifests(filled, [ByVersion("digits", 1), ByVersion("digits", 8)])


HEAVY = ["numpy", "onnx", "onnxruntime", "pydantic", "rich", "typer", "fastapi"]
LIGHT = [
    "model_store.ports",
    "model_store.versions",
    "model_store.fetch",
    "model_store.place",
    "model_store.contract.golden",
    "model_store.adapters.memory",
    "model_store.adapters.directory",
]


def imported(modules: list[str]) -> set[str]:
    """Top-level names in a fresh interpreter, after importing ``modules``."""
    probe = f"import sys, {', '.join(modules)}; print(*{{name.partition('.')[0] for name in sys.modules}})"
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_looking_things_up_needs_the_standard_library_only() -> None:
    ours = imported(LIGHT) - imported(["json"]) - set(sys.stdlib_module_names)
    assert ours == {"model_store"}


def test_the_operations_function_needs_boto3_and_nothing_heavier() -> None:
    found = imported([*LIGHT, "model_store.adapters.s3"])
    assert "boto3" in found
    assert found.isdisjoint(HEAVY)


@pytest.mark.parametrize("count", [1, 20, 1_500])
def test_the_newest_are_listed_without_looking_at_the_others(count: int) -> None:
    store = MemoryStore()
    for number in range(1, 2_601):
        store.put_once(manifest_key("digits", number), b"")
    store.put_once(tombstone_key("digits", 2_599), b"{}")
    found = recent(store, "digits", count)
    assert found == list(reversed(listed(store, "digits")))[:count]
    assert [one.ref.version for one in recent(store, "digits", 2, before=2_600)] == [2_598, 2_597]
    assert recent(store, "digits", 5, before=1) == []
    assert recent(store, "words", 5) == []
