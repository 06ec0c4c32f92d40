"""Files that were fetched before, on this machine, by their digest: a cache with a limit.

``<root>/ab/ab12…`` holds the bytes that its name says. A file is written aside and renamed, so nobody meets
half of one; it is verified again each time it is taken out, so a disk that forgets bits is noticed, and
the file thrown away and fetched again. What was not used for longest goes first. Any number of processes
may use one cache: what one of them removes, another reads to its end or misses and fetches.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from model_store.contract.digest import Digest
from model_store.contract.errors import IntegrityError
from model_store.contract.manifest import ArtifactFile
from model_store.place import local_files, pieces_of, place

DEFAULT_LIMIT_BYTES = 20 * 10**9
"""What a cache may hold unless it is told otherwise: the largest artifact by design."""

_STALE_S = 24 * 3600
"""A half-written file this old belongs to a process that died."""

_LOCK = ".lock"


class Cache:
    """The cache in the folder ``root``. It is safe to remove the folder at any time."""

    def __init__(
        self, root: Path, *, limit: int = DEFAULT_LIMIT_BYTES, now: Callable[[], float] = time.time
    ) -> None:
        self._root, self._limit, self._now = root, limit, now

    def take(self, file: ArtifactFile, path: Path) -> bool:
        """Copy ``file`` to ``path`` if it is here, verified on the way; say whether it was.

        A file that cannot be read or is not what its name says is removed, and is then not here.
        """
        held = self._path(file.digest)
        try:
            with held.open("rb", buffering=0) as stream:
                place(pieces_of(stream), path, file.digest)
        except (OSError, IntegrityError):  # what fails at ``path`` is a LocalFileError, and is raised
            with suppress(OSError):
                held.unlink()
            return False
        self._mark_used(held)
        return True

    def keep(self, file: ArtifactFile, path: Path) -> None:
        """Copy the file at ``path`` into the cache, and make room for it.

        A file over the limit is not kept. Raises ``LocalFileError`` when the cache cannot be written and
        ``IntegrityError`` when ``path`` is not ``file``; a cache is then without it, and nothing worse.
        """
        if file.size > self._limit:
            return
        held = self._path(file.digest)
        if not held.exists():
            with local_files(path), path.open("rb", buffering=0) as stream:
                place(pieces_of(stream), held, file.digest)
        self._mark_used(held)
        self._make_room()

    def _mark_used(self, held: Path) -> None:
        with suppress(OSError):  # somebody made room meanwhile
            os.utime(held, (self._now(), self._now()))

    def _make_room(self) -> None:
        with self._locked():
            held = sorted(self._held())
            size = sum(size for _, size, _ in held)
            for _, its_size, path in held:
                if size <= self._limit:
                    return
                with suppress(OSError):
                    path.unlink()
                size -= its_size

    def _held(self) -> Iterator[tuple[float, int, Path]]:
        """When each file was used last, its size and where it is; what a dead process left is removed."""
        for path in self._root.glob("*/*"):
            with suppress(OSError):
                facts = path.stat()
                if not path.name.endswith(".part"):
                    yield facts.st_mtime, facts.st_size, path
                elif facts.st_mtime < self._now() - _STALE_S:
                    path.unlink()

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """One process makes room at a time: two would throw away twice as much."""
        with local_files(self._root):
            self._root.mkdir(parents=True, exist_ok=True)
            lock = (self._root / _LOCK).open("w")
        with lock:
            # Where locks do nothing (some network file systems) too much is thrown away, and no harm done.
            with suppress(OSError):
                fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _path(self, digest: Digest) -> Path:
        return self._root / digest.hex[:2] / digest.hex
