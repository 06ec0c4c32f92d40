"""A model that no layer carries: read from the store when the function starts, into ``/tmp``.

Parts are read several at once and each is verified by the digest that the manifest keeps of it; they are
written in order, and the whole file is hashed on the way to the disk (law 2). A file has its name only
when it is whole. Nothing here waits for numpy and onnxruntime, which are imported meanwhile.

**When a start is cut short**: Lambda gives a start on demand 10 s and then begins it anew, in the same
environment, with ``/tmp`` as it was. So an unfinished file is a beginning that is true: its parts are
hashed again, those that fit are kept, and reading goes on behind them. A file that is finished is
hashed again too, and read anew if it is not what was published.

A blob that is missing or has changed ends the start: the function never serves, and one log line says why.
"""

from __future__ import annotations

import fcntl
import hashlib
import mmap
import os
import random
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, TypeVar

import orjson

from functions.inference.artifact import (
    InBackground,
    must_be_named,
    must_be_signed,
    must_hold_exactly,
    required,
    sha256_of,
)
from functions.inference.ports import Blobs
from model_store.contract import environment
from model_store.contract.digest import Digest
from model_store.contract.errors import (
    IntegrityError,
    LocalFileError,
    StoreUnavailableError,
    SwitchyardError,
)
from model_store.contract.keys import blob_key
from model_store.contract.manifest import ArtifactFile, Golden, Manifest
from model_store.contract.parts import part_size_for

AT_ONCE = 8
"""Parts in flight and in memory: 64 MiB together."""

PAUSES_S = (0.1, 0.4, 1.2, 3.0)
"""A part that fails is asked for again after about these: 5 s at most, of the 10 that a start has."""

MAX_MANIFEST_BYTES = 64 * 1024**2
"""Golden samples stand in it; those of images are megabytes."""

Sleep = Callable[[float], object]
Write = Callable[[str], object]
_Result = TypeVar("_Result")


class StoredArtifact:
    """An ``Artifact`` whose files are read from the store; reading begins at once."""

    def __init__(
        self, manifest: Manifest, blobs: Blobs, folder: Path, *, write: Write, sleep: Sleep | None = None
    ) -> None:
        self.manifest = manifest
        self._folder = folder / environment.FILES_FOLDER
        self._begun = folder / "begun"
        self._blobs = blobs
        self._write = write
        self._over = threading.Event()
        self._sleep = sleep or self._over.wait
        self._reading = InBackground(self._read)

    def golden(self) -> Golden:
        return self.manifest.golden

    def verified(self) -> str:
        """The folder of the files, once every file is byte for byte the manifest's (law 2)."""
        self._reading.finished()
        return str(self._folder)

    def _read(self) -> None:
        started = time.perf_counter()
        with _told(self._write, self.manifest), _alone(self._begun):
            files = [
                _Growing(file, self._folder / file.path, self._begun / f"{number}-{file.digest.hex}")
                for number, file in enumerate(self.manifest.files)
            ]
            try:
                wanted = [(file, cut) for file in files for cut in file.missing()]
                to_read = sum(cut.size for _, cut in wanted)
                _must_have_room(self._folder, to_read, self.manifest)
                self._read_all(wanted)
            finally:
                self._blobs.close()
                for file in files:
                    file.close()
            must_hold_exactly(str(self._folder), self.manifest)
        _say(
            self._write,
            self.manifest,
            event="model read from S3",
            bytes=to_read,
            kept_bytes=self.manifest.size - to_read,
            ms=round((time.perf_counter() - started) * 1000, 3),
        )

    def _read_all(self, wanted: list[tuple[_Growing, _Cut]]) -> None:
        """Read everything that is missing, several parts at once, and hand it on in order."""
        # Mapped, so that they go back to the system: malloc would keep them, and the model needs the memory.
        buffers: list[mmap.mmap | None] = [None] * AT_ONCE
        waiting: deque[tuple[_Growing, mmap.mmap, Future[memoryview]]] = deque()
        pool = ThreadPoolExecutor(AT_ONCE)

        def hand_on() -> None:
            file, buffer, reading = waiting.popleft()
            file.take(reading.result())
            buffers.append(buffer)

        try:
            for file, cut in wanted:
                if not buffers:
                    hand_on()
                buffer = buffers.pop()
                if buffer is None or len(buffer) < cut.size:
                    buffer = mmap.mmap(-1, cut.size)
                view = memoryview(buffer)[: cut.size]
                waiting.append((file, buffer, pool.submit(self._read_cut, file.file, cut, view)))
            while waiting:
                hand_on()
        finally:
            self._over.set()
            pool.shutdown(cancel_futures=True)

    def _read_cut(self, file: ArtifactFile, cut: _Cut, view: memoryview) -> memoryview:
        def attempt() -> memoryview:
            self._blobs.fill(blob_key(file.digest), cut.start, view)
            if cut.digest is not None:
                found = Digest(hashlib.sha256(view).hexdigest())
                cut.digest.must_equal(found, what=f"the part of `{file.path}` at byte {cut.start}")
            return view

        return persistently(attempt, self._sleep, stop=self._over.is_set)


class _Cut(NamedTuple):
    """A part of a file. A file that was published before parts had digests, or is small, has none."""

    start: int
    size: int
    digest: Digest | None


class _Growing:
    """A file on its way to its place: what of it is there, and what is still to be read.

    Not for several threads: parts are handed to it in order.
    """

    def __init__(self, file: ArtifactFile, path: Path, part: Path) -> None:
        self.file = file
        self._path = path
        self._part = part
        self._whole = hashlib.sha256()
        self._size = 0
        self._out: BinaryIO | None = None

    def missing(self) -> list[_Cut]:
        """The parts to read. A file that is whole has none."""
        if self._is_whole():
            return []
        with _local_files(self._part):
            self._out = self._part.open("r+b" if self._part.exists() else "x+b")
        cuts = _cuts(self.file)
        with _local_files(self._part):
            kept = next((at for at, cut in enumerate(cuts) if not self._keeps(cut)), len(cuts))
            self._out.seek(self._size)
            self._out.truncate()
        if kept == len(cuts):
            self._finish()
        return cuts[kept:]

    def take(self, view: memoryview) -> None:
        """Add the next part; with the last one the file is verified and gets its name."""
        assert self._out is not None
        self._whole.update(view)
        with _local_files(self._part):
            self._out.write(view)
        self._size += len(view)
        if self._size == self.file.size:
            self._finish()

    def close(self) -> None:
        """Leave what is there for the next start."""
        if self._out is not None:
            with suppress(OSError):  # a full disk has been told already
                self._out.close()

    def _is_whole(self) -> bool:
        """Whether the file stands in its place already; if what stands there is something else, it goes."""
        if not self._path.exists():
            return False
        with _local_files(self._path):
            if sha256_of(str(self._path)) == self.file.digest.hex:
                return True
            self._path.unlink()
        return False

    def _keeps(self, cut: _Cut) -> bool:
        """Whether an earlier start has read this part; only what a digest vouches for is kept."""
        assert self._out is not None
        if cut.digest is None:
            return False
        data = self._out.read(cut.size)
        if len(data) != cut.size or Digest.of(data) != cut.digest:
            return False
        self._whole.update(data)
        self._size += cut.size
        return True

    def _finish(self) -> None:
        assert self._out is not None
        with _local_files(self._part):
            self._out.close()
        try:
            self.file.digest.must_equal(Digest(self._whole.hexdigest()), what=f"`{self.file.path}`")
        except IntegrityError:
            # Its parts fit and the whole does not: nothing of it is worth keeping.
            self._part.unlink()
            raise
        with _local_files(self._path):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._part.replace(self._path)


def find_stored(
    environ: Mapping[str, str], *, blobs: Blobs | None = None, write: Write | None = None
) -> StoredArtifact:
    """The version whose manifest the environment names, its files being read.

    Raises ``IntegrityError`` when the environment and the manifest do not tell the same model, version and
    digest, and what the store raises.
    """
    key = required(environ, environment.MANIFEST)
    bucket = required(environ, environment.BUCKET)
    write = write or _to_stdout
    if blobs is None:
        from functions.inference.adapters.s3_blobs import S3Blobs

        blobs = S3Blobs(bucket, environ)
    with _told(write, None):
        manifest = _manifest(blobs, key, Digest(required(environ, environment.MANIFEST_DIGEST)))
        must_be_named(environ, manifest, where="the store's manifest")
        if signed := environ.get(environment.SIGNED_MANIFEST):
            must_be_signed(signed, Digest(required(environ, environment.MANIFEST_DIGEST)), manifest)
    folder = Path(environ.get("TMPDIR") or "/tmp", "switchyard", manifest.digest.hex)  # noqa: S108
    return StoredArtifact(manifest, blobs, folder, write=write)


def persistently(
    attempt: Callable[[], _Result], sleep: Sleep, *, stop: Callable[[], bool] = lambda: False
) -> _Result:
    """Repeat what a network may have broken: a store that did not answer, bytes that arrived wrong."""
    for pause in PAUSES_S:
        try:
            return attempt()
        except (StoreUnavailableError, IntegrityError):
            if stop():
                raise
            # Many environments may start at once: they must not come back at once.
            sleep(pause * (0.5 + random.random()))  # noqa: S311
    return attempt()


def _manifest(blobs: Blobs, key: str, digest: Digest) -> Manifest:
    def attempt() -> bytes:
        body = blobs.get(key, limit=MAX_MANIFEST_BYTES)
        digest.must_equal(Digest.of(body), what=f"`{key}`")
        return body

    try:
        document = orjson.loads(persistently(attempt, time.sleep))
    except orjson.JSONDecodeError as error:
        raise IntegrityError(f"the manifest `{key}` cannot be read") from error
    return Manifest.from_document(document)


def _cuts(file: ArtifactFile) -> list[_Cut]:
    if file.parts:
        return [_Cut(part.start, part.size, part.digest) for part in file.parts]
    size = part_size_for(file.size)
    return [_Cut(start, min(size, file.size - start), None) for start in range(0, file.size, size)]


def _must_have_room(folder: Path, wanted: int, manifest: Manifest) -> None:
    with _local_files(folder):
        folder.mkdir(parents=True, exist_ok=True)
        room = os.statvfs(folder)
    free = room.f_bavail * room.f_frsize
    if wanted > free:
        raise LocalFileError(
            f"`{manifest.ref}` has {wanted:,} bytes to read, and {free:,} are free in `{folder}`"
        )


@contextmanager
def _alone(begun: Path) -> Iterator[None]:
    """Keep other processes out that share this folder; on Lambda there is none."""
    with _local_files(begun):
        begun.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = (begun / "lock").open("wb")
    with lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@contextmanager
def _told(write: Write, manifest: Manifest | None) -> Iterator[None]:
    """Write the one line that says why a start has failed; who called raises, and Lambda logs that too."""
    try:
        yield
    except SwitchyardError as error:
        _say(write, manifest, event="model not read from S3", failure=type(error).__name__, error=str(error))
        raise


@contextmanager
def _local_files(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise LocalFileError(f"`{path}` cannot be read or written: {error.strerror or error}") from error


def _say(write: Write, manifest: Manifest | None, **facts: Any) -> None:
    labels = {"model": manifest.model, "version": str(manifest.version)} if manifest else {}
    write(orjson.dumps({**labels, **facts}, option=orjson.OPT_APPEND_NEWLINE).decode())


def _to_stdout(line: str) -> None:
    sys.stdout.write(line)
    sys.stdout.flush()
