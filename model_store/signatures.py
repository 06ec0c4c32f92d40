"""Signatures: who vouches for a version, said by a key that nobody can take along.

What is signed is the sha256 of the manifest as it is stored. That names model, number, digests of every file
and golden sample, so one signature covers the version. It stands beside the manifest, written once for each
key: a second signature by the same key changes nothing, and a new key signs what the old one did.

Whoever signs vouches for what is stored, whoever published it.
"""

from __future__ import annotations

import base64
import binascii
import json
from dataclasses import asdict, dataclass
from typing import Protocol

from model_store.contract.digest import Digest
from model_store.contract.errors import IntegrityError, UnsignedError
from model_store.contract.keys import manifest_key, signature_key, signatures_prefix
from model_store.contract.names import ByVersion
from model_store.ports import ObjectStore
from model_store.versions import load_manifest

FORMAT = 1
_FIELDS = ("key", "algorithm", "manifest", "signature", "by", "at")


class SigningKeys(Protocol):
    """Keys that sign and verify; the private part never leaves them.

    The laws, checked against every adapter in ``tests/contract/test_signing_keys.py``:

    * what a key signed, it verifies; another digest, another key's signature, or changed bytes, it does not
    * not verifying is an answer, not an error; a key that does not exist, cannot sign or is refused is one
    * nothing but errors of this project comes out
    """

    def sign(self, key: str, digest: Digest) -> tuple[str, bytes]:
        """The algorithm, in KMS's words, and the signature."""
        ...

    def verify(self, key: str, digest: Digest, algorithm: str, signature: bytes) -> bool:
        """Whether ``key`` made ``signature`` of ``digest``."""
        ...


@dataclass(frozen=True, slots=True)
class Signature:
    """A signature as it is stored. ``manifest`` is the sha256 of the manifest's bytes."""

    key: str
    algorithm: str
    manifest: str
    signature: str
    by: str
    at: str

    def to_json(self) -> bytes:
        """The bytes that are stored."""
        return json.dumps({"format": FORMAT, **asdict(self)}, sort_keys=True, separators=(",", ":")).encode()

    @classmethod
    def from_json(cls, data: bytes, *, name: str) -> Signature:
        """Raises ``IntegrityError`` for what is no signature."""
        try:
            body = json.loads(data)
            format_, words = body["format"], [str(body[field]) for field in _FIELDS]
        except (ValueError, KeyError, TypeError) as error:
            raise IntegrityError(f"`{name}` is no signature: {error}") from error
        if format_ != FORMAT:
            raise IntegrityError(f"`{name}` has the format {format_}, which nobody here reads")
        return cls(*words)


def sign(store: ObjectStore, ref: ByVersion, keys: SigningKeys, key: str, *, by: str, at: str) -> bool:
    """Let ``key`` sign ``ref``; false if it had signed it already, which is verified again.

    Safe to repeat after any failure. Raises ``NotFoundError`` for a version that was never published.
    """
    if _of(store, ref, key) is not None:
        check(store, ref, keys, key)
        return False
    digest = _manifest_digest(store, ref)
    algorithm, made = keys.sign(key, digest)
    signature = Signature(key, algorithm, str(digest), base64.b64encode(made).decode(), by, at)
    return store.try_put_once(signature_key(ref.model, ref.version, _named(key)), signature.to_json())


def check(store: ObjectStore, ref: ByVersion, keys: SigningKeys, key: str) -> Signature:
    """The signature of ``ref`` by ``key``. Raises ``UnsignedError`` if there is none that holds."""
    found = _of(store, ref, key)
    if found is None:
        others = list(store.keys(signatures_prefix(ref.model, ref.version)))
        besides = " (another key has)" if others else ""
        raise UnsignedError(
            f"`{ref}` is not signed by `{key}`{besides}, and this stage releases nothing else",
            hint=f"Let somebody who may use that key sign it: `yard sign {ref}`.",
        )
    digest = _manifest_digest(store, ref)
    if found.manifest != str(digest):
        raise UnsignedError(
            f"`{key}` has signed another manifest of `{ref}` than the one that is stored",
            hint="Do not release it: one of the two was tampered with; publish the model again.",
        )
    try:
        made = base64.b64decode(found.signature, validate=True)
    except binascii.Error:
        made = b""
    if not made or not keys.verify(key, digest, found.algorithm, made):
        raise UnsignedError(
            f"the signature of `{ref}` was not made by `{key}`",
            hint="Do not release it: the signature was tampered with; publish the model again.",
        )
    return found


def _of(store: ObjectStore, ref: ByVersion, key: str) -> Signature | None:
    name = signature_key(ref.model, ref.version, _named(key))
    if name not in store.keys(signatures_prefix(ref.model, ref.version)):
        return None
    return Signature.from_json(store.get(name), name=name)


def _named(key: str) -> Digest:
    return Digest.of(key.encode())


def _manifest_digest(store: ObjectStore, ref: ByVersion) -> Digest:
    load_manifest(store, ref)  # refuses one that was never published, or speaks of something else
    return Digest.of(store.get(manifest_key(ref.model, ref.version)))
