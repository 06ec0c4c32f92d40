"""``model_store.signatures``: one signature for each key and version, of the manifest as it is stored."""

from __future__ import annotations

import base64
import json

import pytest

from model_store.adapters.memory import MemoryStore
from model_store.adapters.memory_keys import MemoryKeys
from model_store.contract.digest import Digest
from model_store.contract.errors import AccessDeniedError, IntegrityError, NotFoundError, UnsignedError
from model_store.contract.keys import manifest_key, signature_key, signatures_prefix
from model_store.contract.names import ByVersion
from model_store.signatures import Signature, check, sign
from tests.unit.model_store.shelf import Shelf

KEYS = MemoryKeys("ours", "theirs")
REF = ByVersion("digits", 1)


@pytest.fixture
def shelf() -> MemoryStore:
    """A store with ``digits:1``."""
    made = Shelf()
    made.publish("one", model="digits")
    return made.store


def signed(store: MemoryStore, key: str = "ours") -> bool:
    return sign(store, REF, KEYS, key, by="ana", at="2026-11-22T17:00:00Z")


def test_what_was_signed_holds_and_says_who_when_and_what(shelf: MemoryStore) -> None:
    assert signed(shelf) is True
    found = check(shelf, REF, KEYS, "ours")
    manifest = shelf.get(manifest_key("digits", 1))
    assert (found.key, found.by, found.at) == ("ours", "ana", "2026-11-22T17:00:00Z")
    assert found.manifest == str(Digest.of(manifest))


def test_signing_again_changes_nothing(shelf: MemoryStore) -> None:
    signed(shelf)
    before = {key: shelf.get(key) for key in shelf.keys("models/digits/signatures/")}
    assert signed(shelf) is False
    assert {key: shelf.get(key) for key in shelf.keys("models/digits/signatures/")} == before


def test_another_key_signs_beside_the_first(shelf: MemoryStore) -> None:
    assert signed(shelf)
    assert signed(shelf, "theirs")
    assert len(list(shelf.keys(signatures_prefix("digits", 1)))) == 2
    check(shelf, REF, KEYS, "ours")
    check(shelf, REF, KEYS, "theirs")


def test_what_nobody_signed_is_refused_with_the_way_out(shelf: MemoryStore) -> None:
    with pytest.raises(UnsignedError, match="`digits:1` is not signed by `ours`, and") as error:
        check(shelf, REF, KEYS, "ours")
    assert error.value.hint == "Let somebody who may use that key sign it: `yard sign digits:1`."


def test_what_another_key_signed_is_refused(shelf: MemoryStore) -> None:
    signed(shelf, "theirs")
    with pytest.raises(UnsignedError, match="another key has"):
        check(shelf, REF, KEYS, "ours")


def forged(store: MemoryStore, **changed: str) -> None:
    """A signature of ours that somebody who may write made without the key."""
    told = {
        "key": "ours",
        "algorithm": "ECDSA_SHA_256",
        "manifest": str(Digest.of(store.get(manifest_key("digits", 1)))),
        "signature": base64.b64encode(b"no signature").decode(),
        "by": "eve",
        "at": "2026-11-22T17:00:00Z",
    }
    name = signature_key("digits", 1, Digest.of(b"ours"))
    store.put_once(name, Signature(**{**told, **changed}).to_json())


def test_a_forged_signature_is_refused(shelf: MemoryStore) -> None:
    forged(shelf)
    with pytest.raises(UnsignedError, match="was not made by `ours`"):
        check(shelf, REF, KEYS, "ours")


def test_a_signature_of_another_key_under_our_name_is_refused(shelf: MemoryStore) -> None:
    _, made = KEYS.sign("theirs", Digest.of(shelf.get(manifest_key("digits", 1))))
    forged(shelf, signature=base64.b64encode(made).decode())
    with pytest.raises(UnsignedError, match="was not made by `ours`"):
        check(shelf, REF, KEYS, "ours")


def test_a_signature_of_another_manifest_is_refused(shelf: MemoryStore) -> None:
    forged(shelf, manifest=str(Digest.of(b"another")))
    with pytest.raises(UnsignedError, match="another manifest"):
        check(shelf, REF, KEYS, "ours")


def test_what_is_no_base64_is_refused(shelf: MemoryStore) -> None:
    forged(shelf, signature="not base64")
    with pytest.raises(UnsignedError, match="was not made by"):
        check(shelf, REF, KEYS, "ours")


def test_signing_refuses_to_vouch_for_a_forged_signature(shelf: MemoryStore) -> None:
    forged(shelf)
    with pytest.raises(UnsignedError):
        signed(shelf)


@pytest.mark.parametrize(
    "stored",
    [
        b"no json",
        b"[]",
        b"{}",
        json.dumps(
            {"format": 2, **dict.fromkeys(("key", "algorithm", "manifest", "signature", "by", "at"), "x")}
        ).encode(),
    ],
    ids=["no-json", "a-list", "empty", "another-format"],
)
def test_what_is_no_signature_is_said_to_be_none(shelf: MemoryStore, stored: bytes) -> None:
    shelf.put_once(signature_key("digits", 1, Digest.of(b"ours")), stored)
    with pytest.raises(IntegrityError):
        check(shelf, REF, KEYS, "ours")


def test_a_version_that_does_not_exist_is_not_signed(store: MemoryStore) -> None:
    with pytest.raises(NotFoundError):
        signed(store)


def test_a_key_that_does_not_exist_signs_nothing(shelf: MemoryStore) -> None:
    with pytest.raises(AccessDeniedError):
        signed(shelf, "lost")
    assert list(shelf.keys(signatures_prefix("digits", 1))) == []
