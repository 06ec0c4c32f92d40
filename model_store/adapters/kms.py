"""Asymmetric keys of AWS KMS as ``model_store.signatures.SigningKeys``: they sign and verify there.

The digest travels, not the manifest (``MessageType=DIGEST``). Verifying asks KMS too, so it needs neither the
public key nor a library, and a key that was disabled verifies nothing any more. Source: KMS API reference,
"Sign" and "Verify" (a signature that does not hold is ``KMSInvalidSignatureException``).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from model_store.contract.digest import Digest
from model_store.contract.errors import AccessDeniedError, StoreUnavailableError

ALGORITHMS = ("ECDSA_SHA_256", "RSASSA_PSS_SHA_256", "RSASSA_PKCS1_V1_5_SHA_256")
"""Those of sha256, the first that the key has."""

_CONFIG: Any = Config(
    connect_timeout=5, read_timeout=30, retries={"mode": "standard", "total_max_attempts": 5}
)
_LATER = frozenset(
    {"DependencyTimeoutException", "KMSInternalException", "KeyUnavailableException", "ThrottlingException"}
)


class KmsKeys:
    """Signs and verifies with keys of the account whose credentials this process has."""

    def __init__(self, client: Any = None) -> None:
        self._kms: Any = client or boto3.client("kms", config=_CONFIG)

    def sign(self, key: str, digest: Digest) -> tuple[str, bytes]:
        algorithm = self._algorithm(key)
        with _translated(key):
            made = self._kms.sign(
                KeyId=key,
                Message=bytes.fromhex(digest.hex),
                MessageType="DIGEST",
                SigningAlgorithm=algorithm,
            )
        return algorithm, bytes(made["Signature"])

    def verify(self, key: str, digest: Digest, algorithm: str, signature: bytes) -> bool:
        if algorithm not in ALGORITHMS:
            return False
        with _translated(key):
            try:
                answer = self._kms.verify(
                    KeyId=key,
                    Message=bytes.fromhex(digest.hex),
                    MessageType="DIGEST",
                    Signature=signature,
                    SigningAlgorithm=algorithm,
                )
            except ClientError as error:
                if error.response["Error"]["Code"] == "KMSInvalidSignatureException":
                    return False
                raise
        return bool(answer["SignatureValid"])

    def _algorithm(self, key: str) -> str:
        with _translated(key):
            offered = self._kms.describe_key(KeyId=key)["KeyMetadata"].get("SigningAlgorithms", [])
        for algorithm in ALGORITHMS:
            if algorithm in offered:
                return algorithm
        raise AccessDeniedError(
            f"the key `{key}` cannot sign a sha256",
            hint="Name an asymmetric key for signing, for example of the spec ECC_NIST_P256.",
        )


@contextmanager
def _translated(key: str) -> Iterator[None]:
    """Let nothing of botocore out: what may work later is ``StoreUnavailableError``, the rest is refused."""
    try:
        yield
    except ClientError as error:
        code = error.response["Error"]["Code"]
        said = error.response["Error"].get("Message", "")
        if code in _LATER:
            raise StoreUnavailableError(
                f"KMS answered {code} for the key `{key}`: {said}", hint="Run the same command again."
            ) from error
        raise AccessDeniedError(
            f"KMS refuses the key `{key}`: {code}: {said}",
            hint="Use credentials that may use that key, and a key that exists and is enabled.",
        ) from error
    except BotoCoreError as error:
        raise StoreUnavailableError(
            f"KMS did not answer for the key `{key}`: {error}",
            hint="Check the network and the credentials, then run the same command again.",
        ) from error
