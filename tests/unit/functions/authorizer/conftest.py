"""An issuer's key and its documents, made once: an RSA key takes its time."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass, field
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from functions.authorizer.adapters.memory import MemoryDocuments

ISSUER = "https://login.example/tenant"
NOW = 1_795_338_000.0


def encoded(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).rstrip(b"=").decode()


def text(value: Any) -> str:
    return encoded(json.dumps(value).encode())


@dataclass
class Issuer:
    """``token`` makes a good one; a claim that is ``None`` is left out."""

    key: rsa.RSAPrivateKey
    documents: MemoryDocuments = field(default_factory=MemoryDocuments)
    kid: str = "first"

    def publish(self) -> None:
        """Say what verifiers fetch."""
        numbers = self.key.public_key().public_numbers()
        n, e = (
            encoded(number.to_bytes((number.bit_length() + 7) // 8, "big"))
            for number in (numbers.n, numbers.e)
        )
        self.documents.held = {
            f"{ISSUER}/.well-known/openid-configuration": {"jwks_uri": f"{ISSUER}/keys"},
            f"{ISSUER}/keys": {"keys": [{"kty": "RSA", "kid": self.kid, "n": n, "e": e}, {"kty": "EC"}]},
        }

    def token(self, *, header: dict[str, Any] | None = None, **claims: Any) -> str:
        said = {"iss": ISSUER, "aud": "models", "sub": "ada", "iat": NOW - 1, "exp": NOW + 60, **claims}
        parts = [
            text({"alg": "RS256", "kid": self.kid, **(header or {})}),
            text({name: value for name, value in said.items() if value is not None}),
        ]
        signature = self.key.sign(".".join(parts).encode(), padding.PKCS1v15(), hashes.SHA256())
        return ".".join([*parts, encoded(signature)])


@pytest.fixture(scope="session")
def private_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


@pytest.fixture
def issuer(private_key: rsa.RSAPrivateKey) -> Issuer:
    made = Issuer(private_key)
    made.publish()
    return made
