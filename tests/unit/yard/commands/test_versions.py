"""``yard versions``: a page of what there is, whatever there is."""

from collections.abc import Callable
from typing import Any

import pytest

from model_store.contract.errors import NotFoundError
from model_store.contract.keys import manifest_key
from model_store.contract.manifest import Manifest

Put = Callable[[str, int, bytes], Manifest]
Yard = Callable[..., Any]


def test_the_newest_come_first_with_what_they_are(
    store: Any, put: Put, yard: Yard, document: Callable[[Any], Any]
) -> None:
    manifests = [put("digits", number, f"model {number}".encode()) for number in (1, 2, 10)]
    shown = document(yard("versions", "digits", "--json"))
    assert [one["version"] for one in shown] == [10, 2, 1]
    assert shown[0] == {
        "model": "digits",
        "version": 10,
        "published_at": shown[0]["published_at"],
        "kind": "onnx",
        "digest": str(manifests[2].digest),
        "size": 8,
        "created_at": "2026-05-17T10:30:05Z",
        "created_by": "ana",
        "metrics": {"accuracy": 0.97},
        "note": "note 10",
    }
    table = yard("versions", "digits").stdout
    assert "digits:10" in table
    assert "accuracy=0.97" in table


@pytest.fixture
def many(store: Any, put: Put) -> int:
    """Ten thousand versions; only the newest are real, to see that no other is read."""
    for number in range(1, 9_951):
        store.put_once(manifest_key("digits", number), b"")
    for number in range(9_951, 10_001):
        put("digits", number, b"model")
    return 10_000


def test_a_page_costs_the_same_whatever_there_is(
    many: int, store: Any, yard: Yard, document: Callable[[Any], Any]
) -> None:
    shown = document(yard("versions", "digits", "--json"))
    assert [one["version"] for one in shown] == list(range(10_000, 9_980, -1))
    assert store.gets == 20


def test_every_version_is_listed_without_reading_one(
    many: int, store: Any, yard: Yard, document: Callable[[Any], Any]
) -> None:
    shown = document(yard("versions", "digits", "--all", "--json"))
    assert [one["version"] for one in shown] == list(range(10_000, 0, -1))
    assert set(shown[0]) == {"model", "version", "published_at"}
    assert store.gets == 0


def test_older_pages_are_reached_by_number(
    many: int, store: Any, yard: Yard, document: Callable[[Any], Any]
) -> None:
    done = yard("versions", "digits", "--limit", "5")
    assert "older ones: yard versions digits --before 9996" in done.stderr
    shown = document(yard("versions", "digits", "--limit", "5", "--before", "9996", "--json"))
    assert [one["version"] for one in shown] == [9995, 9994, 9993, 9992, 9991]


def test_a_manifest_that_cannot_be_read_hides_no_other(
    store: Any, put: Put, yard: Yard, document: Callable[[Any], Any]
) -> None:
    put("digits", 1, b"model")
    store.put_once(manifest_key("digits", 2), b"{}")
    shown = document(yard("versions", "digits", "--json"))
    assert [(one["version"], "digest" in one) for one in shown] == [(2, False), (1, True)]
    assert "cannot be read" in yard("versions", "digits").stdout


def test_with_long_every_manifest_is_read(
    store: Any, put: Put, yard: Yard, document: Callable[[Any], Any]
) -> None:
    for number in range(1, 26):
        put("digits", number, b"model")
    shown = document(yard("versions", "digits", "--all", "--long", "--json"))
    assert len(shown) == 25
    assert all(one["metrics"] == {"accuracy": 0.97} for one in shown)


def test_a_model_that_was_never_published_is_said(store: Any, put: Put, yard: Yard) -> None:
    put("digits", 1, b"model")
    done = yard("versions", "digit")
    assert isinstance(done.exception, NotFoundError)
    assert done.exception.hint == "Did you mean `digits`?"
