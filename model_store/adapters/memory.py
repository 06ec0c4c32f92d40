"""The reference adapter. It ships with the package: tests and notebooks use the real thing."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from threading import Lock

from model_store.contract.digest import Digest
from model_store.contract.errors import AlreadyExistsError, NotFoundError
from model_store.place import local_files, place
from model_store.ports import check_key


class MemoryStore:
    """Keeps everything in this process, and forgets it with the process."""

    def __init__(self) -> None:
        self._objects: dict[str, bytes] = {}
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
            return True

    def put_file_once(self, key: str, path: Path, digest: Digest) -> None:
        with local_files(path):
            data = path.read_bytes()
        digest.must_equal(Digest.of(data), what=f"`{path.name}`")
        self.put_once(key, data)

    def get(self, key: str) -> bytes:
        try:
            return self._objects[check_key(key)]
        except KeyError:
            raise NotFoundError(f"nothing is stored at `{key}`") from None

    def fetch_file(self, key: str, path: Path, digest: Digest) -> None:
        place([self.get(key)], path, digest)

    def exists(self, key: str) -> bool:
        return check_key(key) in self._objects

    def keys(self, prefix: str, after: str | None = None) -> Iterator[str]:
        with self._lock:
            held = list(self._objects)
        yield from sorted(key for key in held if key.startswith(prefix) and (after is None or key > after))
