"""``functions.authorizer.keys``: fetched once, again for a new key, and not for everybody who invents one."""

from __future__ import annotations

import pytest

from functions.authorizer.keys import KEPT_S, LOOK_AGAIN_S, Keys, unpadded
from functions.authorizer.ports import NoDocumentError
from tests.unit.functions.authorizer.conftest import ISSUER, Issuer


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_keys_are_fetched_once_for_many_tokens(issuer: Issuer) -> None:
    keys = Keys(ISSUER, issuer.documents, clock=Clock())
    assert keys.find("first") == keys.find("first") is not None
    assert len(issuer.documents.asked) == 2


def test_a_new_key_is_found_and_invented_ones_do_not_flood_the_issuer(issuer: Issuer) -> None:
    clock = Clock()
    keys = Keys(ISSUER, issuer.documents, clock=clock)
    keys.find("first")
    for _ in range(5):
        assert keys.find("invented") is None
    assert len(issuer.documents.asked) == 2
    issuer.kid = "second"
    issuer.publish()
    clock.now += LOOK_AGAIN_S + 1
    assert keys.find("second") is not None
    assert keys.find("first") is None  # taken back by its issuer
    assert len(issuer.documents.asked) == 4


def test_a_key_that_is_taken_back_is_forgotten_within_the_hour(issuer: Issuer) -> None:
    clock = Clock()
    keys = Keys(ISSUER, issuer.documents, clock=clock)
    keys.find("first")
    issuer.kid = "second"
    issuer.publish()
    clock.now += KEPT_S + 1
    assert keys.find("first") is None


def test_an_issuer_that_is_silent_keeps_its_keys_and_a_stranger_has_none(issuer: Issuer) -> None:
    clock = Clock()
    keys = Keys(ISSUER, issuer.documents, clock=clock)
    keys.find("first")
    issuer.documents.held = {}
    clock.now += KEPT_S + 1
    assert keys.find("first") is not None
    asked = len(issuer.documents.asked)
    assert keys.find("first") is not None
    assert len(issuer.documents.asked) == asked
    with pytest.raises(NoDocumentError):
        Keys("https://nobody.example", issuer.documents).find("first")


def test_keys_that_cannot_be_read_verify_nothing(issuer: Issuer) -> None:
    issuer.documents.held[f"{ISSUER}/keys"] = {
        "keys": [{"kty": "RSA", "kid": "odd", "n": "*", "e": "AQAB"}, 7]
    }
    found = Keys(ISSUER, issuer.documents).find("odd")
    assert found is not None
    assert not found.verifies(b"", bytes(256), "RS256")


@pytest.mark.parametrize("written", ["a=", "é", "a+b", "a/b", "a b", "abcde"])
def test_only_unpadded_base64url_is_read(written: str) -> None:
    with pytest.raises(ValueError, match=r"base64|padded|Invalid|Non"):
        unpadded(written)
