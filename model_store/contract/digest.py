"""Digests: a sha256 is a type of its own, never to be confused with a key, a path or a version."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from model_store.contract.errors import IntegrityError, InvalidNameError

if TYPE_CHECKING:
    from pathlib import Path  # not imported where functions start: it takes longer than this module

CHUNK_BYTES = 1 << 20

_HEX = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True, order=True)
class Digest:
    """A sha256, 64 lower-case hexadecimal characters."""

    hex: str

    def __post_init__(self) -> None:
        if not _HEX.fullmatch(self.hex):
            raise InvalidNameError(
                f"`{self.hex[:80]}` is not a sha256",
                hint="A digest is 64 lower-case hexadecimal characters.",
            )

    def __str__(self) -> str:
        return f"sha256:{self.hex}"

    @property
    def short(self) -> str:
        """The first 12 characters, for people."""
        return self.hex[:12]

    @classmethod
    def of(cls, data: bytes | bytearray) -> Digest:
        return cls(hashlib.sha256(data).hexdigest())

    @classmethod
    def of_chunks(cls, chunks: Iterable[bytes | memoryview]) -> Digest:
        """Hash a stream without holding it in memory."""
        running = hashlib.sha256()
        for chunk in chunks:
            running.update(chunk)
        return cls(running.hexdigest())

    @classmethod
    def of_file(cls, path: Path) -> Digest:
        with path.open("rb") as file:
            return cls.of_chunks(iter(lambda: file.read(CHUNK_BYTES), b""))

    def verify(self, data: bytes) -> bytes:
        """Return ``data`` unchanged, or refuse it."""
        self.must_equal(Digest.of(data))
        return data

    def verify_file(self, path: Path) -> Path:
        """Return ``path`` unchanged, or refuse what it holds."""
        self.must_equal(Digest.of_file(path), what=f"`{path.name}`")
        return path

    def must_equal(self, found: Digest, *, what: str = "the bytes") -> None:
        if found != self:
            raise IntegrityError(
                f"{what} should have sha256 {self.short}… and have {found.short}…",
                hint="Do not use these bytes: fetch them again, and if it repeats, publish again.",
            )
