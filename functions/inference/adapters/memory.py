"""The reference adapters: dictionaries. Ship with the package, so that tests need no cloud."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import replace

from functions.inference.ports import Address, Seen, Stored
from functions.protocol.errors import TooLargeError, UnknownUploadError
from model_store.contract.errors import IntegrityError, NotFoundError

SCHEME = "memory://"


class MemoryObjects:
    """Objects in memory; ``upload`` and ``download`` are what S3 does behind an address."""

    def __init__(self) -> None:
        self._objects: dict[tuple[str, str], tuple[Stored, float]] = {}
        self._uploads: dict[str, tuple[str, str, int, float]] = {}
        self._downloads: dict[str, tuple[str, str, float]] = {}

    def read(self, bucket: str, key: str, *, limit: int) -> Stored:
        try:
            stored, at = self._objects[bucket, key]
        except KeyError:
            raise UnknownUploadError("there is no such upload, or it is gone") from None
        if len(stored.body) > limit:
            raise TooLargeError(f"the upload has {len(stored.body)} bytes, and at most {limit} are read")
        return replace(stored, age_s=time.time() - at)

    def look(self, bucket: str, key: str, *, first: int) -> Seen:
        stored = self.read(bucket, key, limit=sys.maxsize)
        return Seen(len(stored.body), stored.age_s, stored.body[:first])

    def write(self, bucket: str, key: str, stored: Stored) -> None:
        self._objects[bucket, key] = stored, time.time() - stored.age_s

    def keys(self, bucket: str) -> list[str]:
        """What is stored, in order."""
        return sorted(key for where, key in self._objects if where == bucket)

    def upload_address(self, bucket: str, key: str, *, size: int, seconds: int) -> Address:
        url = f"{SCHEME}{bucket}/{key}?upload"
        self._uploads[url] = bucket, key, size, time.time() + seconds
        return Address(url, {"content-length": str(size)})

    def download_address(self, bucket: str, key: str, *, seconds: int) -> Address:
        url = f"{SCHEME}{bucket}/{key}?download"
        self._downloads[url] = bucket, key, time.time() + seconds
        return Address(url, {})

    def upload(self, url: str, body: bytes) -> bool:
        """Send ``body`` to an address; ``False`` is S3's 403."""
        bucket, key, size, until = self._uploads[url]
        if len(body) != size or time.time() > until:
            return False
        self.write(bucket, key, Stored(body))
        return True

    def download(self, url: str) -> bytes | None:
        """Fetch what an address leads to; ``None`` is S3's 403."""
        bucket, key, until = self._downloads[url]
        return self._objects[bucket, key][0].body if time.time() <= until else None


class MemoryBlobs:
    """The model store in a dictionary; ``breaking`` is asked before every answer and may raise."""

    def __init__(
        self,
        objects: Mapping[str, bytes],
        breaking: Callable[[str, int, memoryview], object] = lambda *_: None,
    ) -> None:
        self.objects = dict(objects)
        self._breaking = breaking

    def get(self, key: str, *, limit: int) -> bytes:
        body = self._held(key)
        self._breaking(key, 0, memoryview(body))
        if len(body) > limit:
            raise IntegrityError(f"`{key}` has more than {limit} bytes")
        return body

    def fill(self, key: str, start: int, buffer: memoryview) -> None:
        body = self._held(key)[start : start + len(buffer)]
        if len(body) < len(buffer):
            raise IntegrityError(f"`{key}` is shorter than its manifest says")
        buffer[:] = body
        self._breaking(key, start, buffer)

    def close(self) -> None:
        """There is nothing to let go."""

    def _held(self, key: str) -> bytes:
        try:
            return self.objects[key]
        except KeyError:
            raise NotFoundError(f"nothing is stored at `{key}`") from None


class MemoryQueue:
    """Messages in a list: queue, body, and the message that it answers."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, str, str]] = []

    def send(self, queue_url: str, body: str, *, answers: str) -> None:
        self.sent.append((queue_url, body, answers))


class MemoryShadow:
    """Events in a list. With ``error`` it takes none."""

    def __init__(self, error: Exception | None = None) -> None:
        self.told: list[bytes] = []
        self.error = error

    def tell(self, event: bytes) -> None:
        if self.error is not None:
            raise self.error
        self.told.append(event)


class MemoryCaptures:
    """Objects by key. With ``errors`` so many first calls fail."""

    def __init__(self, *errors: Exception) -> None:
        self.kept: dict[str, bytes] = {}
        self.errors = list(errors)

    def keep(self, key: str, data: bytes) -> None:
        if self.errors:
            raise self.errors.pop(0)
        self.kept[key] = data
