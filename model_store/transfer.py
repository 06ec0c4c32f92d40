"""Move a large file in parts: several at once, each verified, handed on in order, few in memory."""

from __future__ import annotations

import hashlib
import os
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from io import FileIO
from itertools import cycle
from pathlib import Path
from threading import local
from typing import TypeVar

from model_store.contract.digest import Digest
from model_store.contract.errors import IntegrityError, StoreUnavailableError
from model_store.contract.parts import Part, Parts, part_size_for
from model_store.place import PIECE_BYTES, local_files, placing
from model_store.ports import OnBytes, unheard

AT_ONCE = 6
"""Parts of a file that are in flight, and in memory: 48 MiB together."""

PAUSES_S = (0.2, 1.0)
"""A part that fails is tried again after these; boto3's own attempts come on top of each."""

_PIECE_BYTES = 1024**2
"""Read at once to hash."""

_PIECES = 8
"""Pieces that wait to be hashed a second time: one thread may be that far behind the other."""

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")
_Bytes = TypeVar("_Bytes", bytes, memoryview)


@dataclass(frozen=True, slots=True)
class Hashed:
    """What a file holds: its digest, its size, and its parts if it is large enough to have some."""

    digest: Digest
    size: int
    parts: Parts | None


def hash_file(path: Path, on_bytes: OnBytes = unheard) -> Hashed:
    """Read the file once and take the digests of the whole and of the parts.

    Raises ``IntegrityError`` if somebody writes to it meanwhile. A file of any size takes the memory of a
    few parts.
    """
    with local_files(path), path.open("rb", buffering=0) as file, ThreadPoolExecutor(1) as beside:
        before = os.fstat(file.fileno())
        part_size = part_size_for(before.st_size)
        cut = _Cut(part_size, before.st_size) if before.st_size > part_size else None
        whole, size = hashlib.sha256(), 0
        # One thread takes the whole and another the parts, from the same pieces, in the same order.
        behind: deque[Future[None]] = deque()
        for view in _views(file, before.st_size, part_size):
            if cut:
                behind.append(beside.submit(cut.update, view))
            whole.update(view)
            size += len(view)
            on_bytes(len(view))
            if len(behind) == _PIECES:  # the next piece is read into the buffer of the first that waits
                behind.popleft().result()
        for left in behind:
            left.result()
        after = os.fstat(file.fileno())
    if (size, after.st_size, after.st_mtime_ns) != (before.st_size, before.st_size, before.st_mtime_ns):
        raise IntegrityError(
            f"`{path.name}` changed while it was being read", hint="Wait until nothing writes to it."
        )
    parts = Parts(part_size, size, tuple(cut.digests)) if cut else None
    return Hashed(Digest(whole.hexdigest()), size, parts)


class _Cut:
    """The digests of the parts of a file, taken from pieces that come in order and cross no part."""

    def __init__(self, part_size: int, size: int) -> None:
        self._part_size, self._size = part_size, size
        self._running, self._at = hashlib.sha256(), 0
        self.digests: list[Digest] = []

    def update(self, view: memoryview) -> None:
        self._running.update(view)
        self._at += len(view)
        if self._at % self._part_size == 0 or self._at == self._size:
            self.digests.append(Digest(self._running.hexdigest()))
            self._running = hashlib.sha256()


class LocalParts:
    """An open local file and its parts, each of them verified when it is read.

    Several threads may read at once; what a thread gets is good until it reads again. A part that is not
    what it was when the parts were taken is an ``IntegrityError``.
    """

    def __init__(self, file: FileIO, path: Path) -> None:
        self._file, self._path = file, path
        # One buffer per thread: malloc would keep what is freed, and peak at twice the parts in flight.
        self._own = local()

    def read(self, part: Part) -> bytearray:
        """The whole part, and nothing of it if it is wrong."""
        data: bytearray | None = getattr(self._own, "buffer", None)
        if data is None or len(data) != part.size:
            data = self._own.buffer = bytearray(part.size)
        view = memoryview(data)
        with local_files(self._path):
            at = 0
            while at < part.size and (got := self._at(view[at:], part.start + at)):
                at += got
        self._must_be(part, Digest.of(data))
        return data

    def pieces(self, part: Part) -> Iterator[memoryview]:
        """The part, a little at a time; that it is wrong is known, and raised, at its end."""
        buffer: memoryview | None = getattr(self._own, "piece", None)
        if buffer is None:
            buffer = self._own.piece = memoryview(bytearray(PIECE_BYTES))
        running, at = hashlib.sha256(), 0
        while at < part.size:
            with local_files(self._path):
                got = self._at(buffer[: min(len(buffer), part.size - at)], part.start + at)
            if not got:
                break
            running.update(buffer[:got])
            yield buffer[:got]
            at += got
        self._must_be(part, Digest(running.hexdigest()))

    def _at(self, view: memoryview, start: int) -> int:
        return os.preadv(self._file.fileno(), [view], start)

    def _must_be(self, part: Part, found: Digest) -> None:
        part.digest.must_equal(found, what=f"part {part.number} of `{self._path.name}`")


@contextmanager
def opened(path: Path, parts: Parts) -> Iterator[LocalParts]:
    """Open a local file to read its parts; refuse it if it has another size by now."""
    with local_files(path):
        file = path.open("rb", buffering=0)
    with file:
        if os.fstat(file.fileno()).st_size != parts.size:
            raise IntegrityError(f"`{path.name}` should have {parts.size} bytes and has another size")
        yield LocalParts(file, path)


def fetched(
    chunks: Callable[[Part], Iterable[bytes]],
    parts: Parts,
    *,
    name: str,
    sleep: Callable[[float], None] = time.sleep,
) -> Iterator[bytes]:
    """Fetch the parts of a stored file, and yield its bytes in order, verified.

    A part that breaks off or comes out wrong is fetched again, alone; the last failure is raised.
    """

    def fetch(part: Part) -> list[bytes]:
        return persistently(lambda: _verified(chunks(part), part, name), sleep)

    for held in in_order(fetch, parts):
        yield from held


def place_parts(
    chunks: Callable[[Part], Iterable[bytes]],
    parts: Parts,
    path: Path,
    digest: Digest,
    on_bytes: OnBytes = unheard,
    *,
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Fetch the parts of a stored file to ``path``, several at once, as ``place`` would.

    Each is verified while it arrives and written to its own place. A part that breaks off or comes out wrong
    is fetched again, alone; the last failure is raised. The whole is hashed in order, from what the file
    holds by then: so nothing but a few chunks is in memory.
    """
    with placing(path) as file:

        def fetch(part: Part) -> Part:
            persistently(lambda: _landed(chunks(part), part, file.fileno(), path), sleep)
            return part

        running = hashlib.sha256()
        for part in in_order(fetch, parts):
            with local_files(path):
                for view in read_back(part, file.fileno()):
                    running.update(view)
            on_bytes(part.size)
        digest.must_equal(Digest(running.hexdigest()), what=f"`{path.name}`")


def _landed(chunks: Iterable[bytes], part: Part, file: int, path: Path) -> None:
    """Write a part to its place in the file, and refuse it if it is not what it should be."""
    running, at, end = hashlib.sha256(), part.start, part.start + part.size
    for chunk in chunks:
        running.update(chunk)
        written = memoryview(chunk)[
            : end - at
        ]  # what comes too much is refused below, and harms no other part
        with local_files(path):
            write_at(file, written, at)
        at += len(written)
    part.digest.must_equal(Digest(running.hexdigest()), what=f"part {part.number} of `{path.name}`")


def write_at(file: int, data: memoryview, start: int) -> None:
    """Write all of ``data`` from ``start`` on, without a cursor: several threads write to one file."""
    at = 0
    while at < len(data):
        at += os.pwrite(file, data[at:], start + at)


def read_back(part: Part, file: int) -> Iterator[memoryview]:
    """What an open file holds where ``part`` belongs; a piece is good until the next is asked for."""
    buffer, at = memoryview(bytearray(min(PIECE_BYTES, part.size))), 0
    while at < part.size:
        got = os.preadv(file, [buffer[: min(len(buffer), part.size - at)]], part.start + at)
        if not got:
            return
        yield buffer[:got]
        at += got


def exactly(chunks: Iterator[bytes], key: str, part: Part | None) -> Iterator[bytes]:
    """Pass on the chunks of a part, and refuse them if they are not as many bytes as the part has."""
    size = 0
    for chunk in chunks:
        size += len(chunk)
        yield chunk
    if part and size != part.size:
        raise IntegrityError(
            f"`{key}` gives {size} bytes for its part {part.number}, which has {part.size}",
            hint="Do not use these bytes: run `yard verify`, and publish again.",
        )


def counted(chunks: Iterable[_Bytes], on_bytes: OnBytes) -> Iterator[_Bytes]:
    """Pass on chunks, and tell of each when it was taken."""
    for chunk in chunks:
        yield chunk
        on_bytes(len(chunk))


def persistently(
    attempt: Callable[[], _Result],
    sleep: Callable[[float], None],
    *,
    but_not: tuple[type[Exception], ...] = (),
) -> _Result:
    """Repeat what a network may have broken: a store that did not answer, bytes that arrived wrong."""
    for pause in PAUSES_S:
        try:
            return attempt()
        except but_not:
            raise
        except (StoreUnavailableError, IntegrityError):
            sleep(pause)
    return attempt()


def unpaused(_: float) -> None:
    """Wait for nothing: what a disk gives wrongly is no better a second later."""


def in_order(
    work: Callable[[_Item], _Result], items: Iterable[_Item], *, at_once: int = AT_ONCE
) -> Iterator[_Result]:
    """Yield ``work(item)`` for each item, in order, with up to ``at_once`` items in work in threads.

    No more results than that are held. The first error ends it: what has begun is waited for, nothing
    more is begun. The same holds for whoever stops listening.
    """
    waiting: deque[Future[_Result]] = deque()
    pool = ThreadPoolExecutor(at_once)
    try:
        for item in items:
            waiting.append(pool.submit(work, item))
            if len(waiting) >= at_once:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


def _verified(chunks: Iterable[bytes], part: Part, name: str) -> list[bytes]:
    running, held = hashlib.sha256(), []
    for chunk in chunks:
        running.update(chunk)
        held.append(chunk)
    part.digest.must_equal(Digest(running.hexdigest()), what=f"part {part.number} of `{name}`")
    return held


def _views(file: FileIO, size: int, part_size: int) -> Iterator[memoryview]:
    """The first ``size`` bytes of the file, piece by piece in a few buffers; no piece crosses a part."""
    buffers = [memoryview(bytearray(min(_PIECE_BYTES, size))) for _ in range(_PIECES)]
    at = 0
    for buffer in cycle(buffers):
        wanted = min(len(buffer), size - at, part_size - at % part_size)
        got = file.readinto(buffer[:wanted])
        if not got:
            return
        yield buffer[:got]
        at += got
