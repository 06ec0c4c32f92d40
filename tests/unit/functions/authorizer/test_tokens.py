"""``functions.authorizer.tokens``: the rules of an HTTP API's authorizer, token by token."""

from __future__ import annotations

from typing import Any

import pytest

from functions.authorizer.keys import Keys
from functions.authorizer.tokens import MAX_CHARACTERS, BadTokenError, Wanted, claims_of, scopes_of
from tests.unit.functions.authorizer.conftest import ISSUER, NOW, Issuer, text

WANTED = Wanted(ISSUER, frozenset({"models", "reports"}), frozenset({"infer"}))


def read(issuer: Issuer, token: str) -> dict[str, Any]:
    return claims_of(token, WANTED, Keys(ISSUER, issuer.documents), now=NOW)


@pytest.mark.parametrize(
    "claims",
    [
        {},
        {"aud": ["other", "reports"]},
        {"aud": None, "client_id": "models"},
        {"nbf": NOW - 5},
        {"iat": None},
        {"exp": NOW + 0.5},
    ],
    ids=["plain", "one of the audiences", "a client", "already valid", "no beginning", "just before the end"],
)
def test_a_good_token_says_who_it_is(issuer: Issuer, claims: dict[str, Any]) -> None:
    assert read(issuer, issuer.token(**claims))["sub"] == "ada"


@pytest.mark.parametrize(
    ("claims", "why"),
    [
        ({"iss": "https://elsewhere.example"}, "another issuer"),
        ({"aud": "other"}, "another audience"),
        ({"aud": "other", "client_id": "models"}, "another audience"),
        ({"aud": None}, "another audience"),
        ({"aud": 7}, "another audience"),
        ({"exp": NOW}, "expired"),
        ({"exp": None}, "does not say when it ends"),
        ({"exp": "tomorrow"}, "does not say when it ends"),
        ({"exp": True}, "does not say when it ends"),
        ({"nbf": NOW + 9}, "not valid yet"),
        ({"iat": NOW + 9}, "not valid yet"),
    ],
)
def test_a_token_for_somebody_or_some_time_else_is_refused(
    issuer: Issuer, claims: dict[str, Any], why: str
) -> None:
    with pytest.raises(BadTokenError, match=why):
        read(issuer, issuer.token(**claims))


@pytest.mark.parametrize(
    "header", [{"alg": "none"}, {"alg": "HS256"}, {"alg": None}, {"kid": None}, {"kid": "other"}, {"kid": 7}]
)
def test_a_token_does_not_choose_how_it_is_verified(issuer: Issuer, header: dict[str, Any]) -> None:
    with pytest.raises(BadTokenError):
        read(issuer, issuer.token(header=header))


def test_a_signature_of_other_claims_does_not_carry_over(issuer: Issuer) -> None:
    first, _, third = issuer.token().split(".")
    forged = text({"iss": ISSUER, "aud": "models", "sub": "eve", "exp": NOW + 60})
    with pytest.raises(BadTokenError, match="signature"):
        read(issuer, f"{first}.{forged}.{third}")


@pytest.mark.parametrize(
    "token",
    [
        "",
        "a",
        "a.b",
        "a.b.c",
        "....",
        "é.é.é",
        "e30.W10.e30",
        "bnVsbA.bnVsbA.bnVsbA",
        "x" * (MAX_CHARACTERS + 1),
    ],
)
def test_what_is_no_token_is_said_to_be_none_and_not_repeated(issuer: Issuer, token: str) -> None:
    with pytest.raises(BadTokenError) as caught:
        read(issuer, token)
    assert len(token) < 4 or token not in str(caught.value)
    assert caught.value.__cause__ is None


@pytest.mark.parametrize(
    ("claims", "found"),
    [
        ({"scope": "read infer"}, {"read", "infer"}),
        ({"scp": ["infer", 7]}, {"infer"}),
        ({"scope": "a", "scp": "b c"}, {"a", "b", "c"}),
        ({"scope": None}, set()),
    ],
)
def test_scopes_are_read_however_they_are_written(claims: dict[str, Any], found: set[str]) -> None:
    assert scopes_of(claims) == found
    assert WANTED.allows(claims) is ("infer" in found)
    assert Wanted(ISSUER, frozenset({"models"}), frozenset()).allows(claims)
