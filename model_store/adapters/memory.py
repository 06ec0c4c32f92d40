"""The reference adapter. It ships with the package: tests and notebooks use the real thing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from threading import Lock

from model_store.contract.digest import Digest
from model_store.contract.errors import AlreadyExistsError, IntegrityError, NotFoundError
from model_store.contract.parts import Part, Parts
from model_store.place import local_files, place
from model_store.ports import Entry, OnBytes, check_key, unheard
from model_store.transfer import counted, exactly, fetched, unpaused


def _utc_now() -> datetime:
    return datetime.now(UTC)


class MemoryStore:
    """Keeps everything in this process, and forgets it with the process."""

    def __init__(self, clock: Callable[[], datetime] = _utc_now) -> None:
        self._objects: dict[str, bytes] = {}
        self._written: dict[str, datetime] = {}
        self._clock = clock
        self._lock = Lock()

    def put_once(self, key: str, data: bytes) -> None:
        if not self.try_put_once(key, data) and self._objects[key] != data:
            raise AlreadyExistsError(f"`{key}` already holds other bytes")

    def try_put_once(self, key: str, data: bytes) -> bool:
        check_key(key)
        with self._lock:
            if key in self._objects:
                return False
            self._objects[key] = bytes(data)
            self._written[key] = self._clock()
            return True

    def put_file_once(
        self,
        key: str,
        path: Path,
        digest: Digest,
        parts: Parts | None = None,
        on_bytes: OnBytes = unheard,
    ) -> None:
        with local_files(path):
            data = path.read_bytes()
        digest.must_equal(Digest.of(data), what=f"`{path.name}`")
        if parts and parts.size != len(data):
            raise IntegrityError(f"`{path.name}` should have {parts.size} bytes and has {len(data)}")
        for part in parts or ():
            found = Digest.of(data[part.start : part.start + part.size])
            part.digest.must_equal(found, what=f"part {part.number} of `{path.name}`")
        self.put_once(key, data)
        on_bytes(len(data))

    def copy_once(self, source: str, target: str, digest: Digest, parts: Parts | None = None) -> None:
        check_key(target)
        data = digest.verify(self.get(source))
        if parts and parts.size != len(data):
            raise IntegrityError(f"`{source}` should have {parts.size} bytes and has {len(data)}")
        self.put_once(target, data)

    def get(self, key: str) -> bytes:
        try:
            return self._objects[check_key(key)]
        except KeyError:
            raise NotFoundError(f"nothing is stored at `{key}`") from None

    def chunks(self, key: str, part: Part | None = None) -> Iterator[bytes]:
        data = self.get(key)
        if part:
            data = data[part.start : part.start + part.size]
        return exactly(iter([data]), key, part)

    def fetch_file(
        self,
        key: str,
        path: Path,
        digest: Digest,
        parts: Parts | None = None,
        on_bytes: OnBytes = unheard,
    ) -> None:
        check_key(key)
        chunks = (
            fetched(partial(self.chunks, key), parts, name=path.name, sleep=unpaused)
            if parts
            else self.chunks(key)
        )
        place(counted(chunks, on_bytes), path, digest)

    def exists(self, key: str) -> bool:
        return check_key(key) in self._objects

    def keys(self, prefix: str, after: str | None = None) -> Iterator[str]:
        return (entry.key for entry in self.entries(prefix, after))

    def entries(self, prefix: str, after: str | None = None) -> Iterator[Entry]:
        with self._lock:
            held = [Entry(key, len(data), self._written[key]) for key, data in self._objects.items()]
        wanted = (entry for entry in held if entry.key.startswith(prefix))
        yield from sorted(
            (entry for entry in wanted if after is None or entry.key > after), key=lambda entry: entry.key
        )
