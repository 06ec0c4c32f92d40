"""How a large file is cut: into parts of one size, each with a digest of its own.

The parts let several streams work on one file, each of them verified by itself. They never replace the
digest of the whole file, which is what names it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from model_store.contract.digest import Digest
from model_store.contract.errors import IntegrityError

PART_BYTES = 8 * 1024**2
"""Size of a part. A file that is not larger is not cut.

Amazon S3 user guide, "Best practices design patterns": ranges of 8 to 16 MB make good use of several
connections. With 10,000 parts this reaches to 78 GiB; larger files have larger parts.
"""

MAX_PARTS = 10_000
"""Most parts of one file. Source: Amazon S3 user guide, "Amazon S3 multipart upload limits"."""

MIN_PART_BYTES = 5 * 1024**2
"""Smallest part but the last. Source: Amazon S3 user guide, "Amazon S3 multipart upload limits"."""


@dataclass(frozen=True, slots=True)
class Part:
    """One part of a file: ``number`` counts from 1, ``start`` and ``size`` are in bytes."""

    number: int
    start: int
    size: int
    digest: Digest


@dataclass(frozen=True, slots=True)
class Parts:
    """All parts of a file of ``size`` bytes, in order; only the last may be shorter than ``part_size``."""

    part_size: int
    size: int
    digests: tuple[Digest, ...]

    def __post_init__(self) -> None:
        if self.part_size < 1 or len(self.digests) != -(-self.size // self.part_size):
            raise IntegrityError(
                f"{len(self.digests)} parts of {self.part_size} bytes are not a file of {self.size} bytes"
            )

    def __len__(self) -> int:
        return len(self.digests)

    def __iter__(self) -> Iterator[Part]:
        for number, digest in enumerate(self.digests, start=1):
            start = (number - 1) * self.part_size
            yield Part(number, start, min(self.part_size, self.size - start), digest)

    def as_json(self) -> dict[str, Any]:
        return {"bytes": self.part_size, "sha256": [digest.hex for digest in self.digests]}

    @classmethod
    def from_json(cls, data: dict[str, Any], size: int) -> Parts:
        return cls(int(data["bytes"]), size, tuple(Digest(item) for item in data["sha256"]))


def part_size_for(size: int) -> int:
    """The size of the parts that a file of ``size`` bytes is cut into; it follows from ``size`` alone.

    So whoever goes on with an unfinished upload cuts the file where it was cut before.
    """
    part_size = PART_BYTES
    while part_size * MAX_PARTS < size:
        part_size *= 2
    return part_size
