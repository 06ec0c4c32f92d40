"""What makes a token good: the rules of an HTTP API's JWT authorizer, in the same order.

Source: API Gateway developer guide, "Control access to HTTP APIs with JWT authorizers": signature (RSA only)
and ``kid``, ``iss``, ``aud`` (or ``client_id`` where there is none), ``exp``, ``nbf``, ``iat``, and one of
the scopes in ``scope`` or ``scp``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from functions.authorizer.keys import Keys, unpadded
from functions.authorizer.signatures import ALGORITHMS

MAX_CHARACTERS = 8_192
"""A REST API takes 10,240 bytes of headers in all; a token near that is none of ours."""


class BadTokenError(Exception):
    """A token that lets nobody in. Its text is one of a few constants and says nothing of the token."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """Whose tokens, for whom, and what one of them must be allowed."""

    issuer: str
    audience: frozenset[str]
    scopes: frozenset[str]

    def allows(self, claims: Mapping[str, Any]) -> bool:
        """Whether a good token has one of the scopes."""
        return not self.scopes or bool(self.scopes & scopes_of(claims))


def claims_of(token: str, wanted: Wanted, keys: Keys, *, now: float) -> dict[str, Any]:
    """What a good token says; raises ``BadTokenError``, or ``NoDocumentError`` where nobody can tell."""
    header, claims, signed, signature = _taken_apart(token)
    algorithm, kid = header.get("alg"), header.get("kid")
    if algorithm not in ALGORITHMS or not isinstance(kid, str):
        raise BadTokenError("its header names no key, or another algorithm")
    if claims.get("iss") != wanted.issuer:
        raise BadTokenError("another issuer")
    key = keys.find(kid)
    if key is None or not key.verifies(signed, signature, str(algorithm)):
        raise BadTokenError("its signature is none of the issuer's")
    audience = claims["aud"] if "aud" in claims else claims.get("client_id")
    if not wanted.audience & set(_texts(audience)):
        raise BadTokenError("another audience")
    _must_be_of_now(claims, now)
    return claims


def scopes_of(claims: Mapping[str, Any]) -> frozenset[str]:
    """The scopes, however they are written."""
    found: set[str] = set()
    for name in ("scope", "scp"):
        value = claims.get(name)
        found.update(value.split() if isinstance(value, str) else _texts(value))
    return frozenset(found)


def _taken_apart(token: str) -> tuple[dict[str, Any], dict[str, Any], bytes, bytes]:
    parts = token.split(".")
    if len(token) > MAX_CHARACTERS or len(parts) != 3:
        raise BadTokenError("no token")
    first, second, third = parts
    try:
        return _object(first), _object(second), f"{first}.{second}".encode(), unpadded(third)
    except (ValueError, RecursionError):
        raise BadTokenError("no token") from None


def _object(part: str) -> dict[str, Any]:
    value = json.loads(unpadded(part))
    if isinstance(value, dict):
        return value
    raise BadTokenError("no token")


def _must_be_of_now(claims: Mapping[str, Any], now: float) -> None:
    ends = claims.get("exp")
    begins = [claims[name] for name in ("nbf", "iat") if name in claims]
    if not all(_is_number(value) for value in (ends, *begins)):
        raise BadTokenError("it does not say when it ends")
    assert isinstance(ends, int | float)
    if ends <= now:
        raise BadTokenError("it has expired")
    if any(value > now for value in begins):
        raise BadTokenError("it is not valid yet")


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _texts(value: object) -> list[str]:
    values = value if isinstance(value, list) else [value]
    return [one for one in values if isinstance(one, str)]
