"""The issuer's public keys: fetched when the first token comes, kept, and looked for again when one is new.

An issuer that changes its keys shows the new one before it signs with it. A token that names a key nobody
knows makes this look once more, but not more often than ``LOOK_AGAIN_S``: whoever invents key ids must not
be able to make us flood the issuer.
"""

from __future__ import annotations

import base64
import re
import time
from collections.abc import Callable
from typing import Any

from functions.authorizer.ports import Documents, NoDocumentError
from functions.authorizer.signatures import RsaKey

_BASE64URL = re.compile(r"[A-Za-z0-9_-]*")

KEPT_S = 3600.0
LOOK_AGAIN_S = 30.0


class Keys:
    """The keys of one issuer, by their id."""

    def __init__(
        self, issuer: str, documents: Documents, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._issuer = issuer.rstrip("/")
        self._documents = documents
        self._clock = clock
        self._keys: dict[str, RsaKey] = {}
        self._fetched: float | None = None

    def find(self, kid: str) -> RsaKey | None:
        """The key of that id. Raises ``NoDocumentError`` while the issuer has not told any keys yet.

        Keys that were told stay good while the issuer does not answer: signatures do not grow old with it.
        """
        age = None if self._fetched is None else self._clock() - self._fetched
        if age is None or age > KEPT_S or (kid not in self._keys and age > LOOK_AGAIN_S):
            self._fetch()
        return self._keys.get(kid)

    def _fetch(self) -> None:
        try:
            configuration = self._documents.get(f"{self._issuer}/.well-known/openid-configuration")
            found = self._documents.get(str(configuration.get("jwks_uri"))).get("keys")
        except NoDocumentError:
            if self._fetched is None:
                raise
            self._fetched = self._clock() - KEPT_S + LOOK_AGAIN_S
            return
        self._keys = dict(_read(key) for key in found or [] if _is_rsa(key))
        self._fetched = self._clock()


def _is_rsa(key: Any) -> bool:
    return (
        isinstance(key, dict)
        and key.get("kty") == "RSA"
        and key.get("use", "sig") == "sig"
        and all(isinstance(key.get(part), str) for part in ("kid", "n", "e"))
    )


def _read(key: dict[str, Any]) -> tuple[str, RsaKey]:
    try:
        n, e = (int.from_bytes(unpadded(key[part]), "big") for part in ("n", "e"))
    except ValueError:
        n = e = 0  # verifies nothing
    return key["kid"], RsaKey(n, e)


def unpadded(text: str) -> bytes:
    """Bytes of base64url as tokens and keys write it. Raises ``ValueError`` for anything else."""
    if _BASE64URL.fullmatch(text) is None:
        raise ValueError("no unpadded base64url")
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
