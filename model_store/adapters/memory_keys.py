"""Keys in memory: obey the laws of ``model_store.signatures.SigningKeys``, and keep a secret from nobody."""

from __future__ import annotations

import hmac

from model_store.contract.digest import Digest
from model_store.contract.errors import AccessDeniedError

ALGORITHM = "ECDSA_SHA_256"


class MemoryKeys:
    """``SigningKeys`` for tests: a key's secret is made of its name."""

    def __init__(self, *keys: str) -> None:
        self._keys = set(keys)

    def sign(self, key: str, digest: Digest) -> tuple[str, bytes]:
        return ALGORITHM, self._made(key, digest)

    def verify(self, key: str, digest: Digest, algorithm: str, signature: bytes) -> bool:
        made = self._made(key, digest)
        return algorithm == ALGORITHM and hmac.compare_digest(made, signature)

    def _made(self, key: str, digest: Digest) -> bytes:
        if key not in self._keys:
            raise AccessDeniedError(f"there is no key `{key}`", hint="Name a key that exists.")
        return hmac.digest(f"secret of {key}".encode(), digest.hex.encode(), "sha256")
