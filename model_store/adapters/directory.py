"""A folder on this machine as a store: for laptops, tests and shared disks."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import BinaryIO
from uuid import uuid4

from model_store.contract.digest import CHUNK_BYTES, Digest
from model_store.contract.errors import (
    AccessDeniedError,
    AlreadyExistsError,
    IntegrityError,
    InvalidNameError,
    LocalFileError,
    NotFoundError,
    StoreUnavailableError,
)
from model_store.contract.parts import Part, Parts
from model_store.place import local_files, pieces_of, place
from model_store.ports import Entry, OnBytes, check_key, unheard
from model_store.transfer import (
    LocalParts,
    counted,
    exactly,
    fetched,
    in_order,
    opened,
    read_back,
    unpaused,
    write_at,
)

# No key can begin with a dot, so nothing in here is ever taken for one.
INCOMING = ".incoming"


class DirectoryStore:
    """Every key is a file below ``root``; a key that is a folder of other keys is refused.

    Bytes are written and synced aside, then linked under their name: the link is the atomic
    create-if-absent of a file system, so no reader sees half a file and of two writers one wins. A
    killed process leaves a file in ``.incoming`` and nothing else; if that is a large file, whoever puts the
    same bytes goes on with it: parts that are there and right are not copied again.
    """

    def __init__(self, root: Path) -> None:
        self._root = root

    def put_once(self, key: str, data: bytes) -> None:
        if not self.try_put_once(key, data):
            self._must_hold(key, Digest.of(data))

    def try_put_once(self, key: str, data: bytes) -> bool:
        def write(file: BinaryIO) -> None:
            file.write(data)

        return self._create(key, write)

    def put_file_once(
        self,
        key: str,
        path: Path,
        digest: Digest,
        parts: Parts | None = None,
        on_bytes: OnBytes = unheard,
    ) -> None:
        if parts and self.exists(key):
            self._must_hold(key, digest)
            on_bytes(parts.size)
            return
        if parts:
            created = self._create_from_parts(key, path, digest, parts, on_bytes)
        else:

            def copy(file: BinaryIO) -> None:
                found = Digest.of_chunks(_copied(counted(_chunks_of_local(path), on_bytes), file))
                digest.must_equal(found, what=f"`{path.name}`")

            created = self._create(key, copy)
        if not created:
            self._must_hold(key, digest)

    def copy_once(self, source: str, target: str, digest: Digest, parts: Parts | None = None) -> None:
        check_key(target)
        with self._translated(source):
            size = self._path(source).stat().st_size
        if parts and parts.size != size:
            raise IntegrityError(f"`{source}` should have {parts.size} bytes and has {size}")

        def copy(file: BinaryIO) -> None:
            found = Digest.of_chunks(_copied(self._chunks(source), file))
            digest.must_equal(found, what=f"`{source}`")

        if not self._create(target, copy):
            self._must_hold(target, digest)

    def get(self, key: str) -> bytes:
        with self._translated(key):
            return self._path(key).read_bytes()

    def chunks(self, key: str, part: Part | None = None) -> Iterator[bytes]:
        return exactly(self._chunks(key, part), key, part)

    def fetch_file(
        self,
        key: str,
        path: Path,
        digest: Digest,
        parts: Parts | None = None,
        on_bytes: OnBytes = unheard,
    ) -> None:
        try:
            place(counted(self._pieces(key), on_bytes), path, digest)
        except IntegrityError:
            # The whole is what names the bytes, and one pass of it is all that a disk needs. Only to say
            # where they are wrong are the parts looked at.
            if parts:
                for _ in fetched(partial(self.chunks, key), parts, name=path.name, sleep=unpaused):
                    pass
            raise

    def exists(self, key: str) -> bool:
        with self._translated(key):
            return self._path(key).is_file()

    def keys(self, prefix: str, after: str | None = None) -> Iterator[str]:
        yield from self._held(prefix, after)

    def entries(self, prefix: str, after: str | None = None) -> Iterator[Entry]:
        for key in self._held(prefix, after):
            with self._translated(key):
                facts = self._path(key).stat()
            yield Entry(key, facts.st_size, datetime.fromtimestamp(facts.st_mtime, UTC))

    def _held(self, prefix: str, after: str | None) -> Iterator[str]:
        # Names are sorted whole: in a walk `a/1` would come before `a-b`, which is smaller.
        with self._translated(prefix):
            held = sorted(self._walk(prefix))
        yield from (key for key in held if key.startswith(prefix) and (after is None or key > after))

    def _walk(self, prefix: str) -> Iterator[str]:
        folder = prefix.rpartition("/")[0]
        start = self._root / check_key(folder) if folder else self._root
        for where, folders, names in os.walk(start, onerror=_not_silently):
            folders[:] = [name for name in folders if name != INCOMING]
            # Texts and no paths: a path of its own for each of 20,000 keys takes most of a second.
            below = where[len(str(self._root)) :].replace(os.sep, "/").strip("/")
            yield from (f"{below}/{name}" if below else name for name in names)

    def _create(self, key: str, write: Callable[[BinaryIO], None]) -> bool:
        final = self._path(key)
        incoming = self._root / INCOMING / uuid4().hex
        with self._translated(key):
            incoming.parent.mkdir(parents=True, exist_ok=True)
            try:
                with incoming.open("xb") as file:
                    write(file)
                    return self._named(key, file, incoming, final)
            finally:
                incoming.unlink(missing_ok=True)

    def _create_from_parts(
        self, key: str, path: Path, digest: Digest, parts: Parts, on_bytes: OnBytes
    ) -> bool:
        """Copy the parts that an interrupted put of the same file did not leave, and name the file.

        What is copied stays aside when the disk or this process fails, and goes when the file is not what
        it should be, or is stored.
        """
        final = self._path(key)
        with opened(path, parts) as local, self._translated(key):
            incoming, file = self._resumed(digest)
            with file:
                try:
                    held = os.fstat(file.fileno()).st_size
                    for size in in_order(partial(_copy_part, local, file, held), parts):
                        on_bytes(size)
                    created = self._named(key, file, incoming, final)
                except (IntegrityError, LocalFileError, InvalidNameError):
                    incoming.unlink(missing_ok=True)
                    raise
                incoming.unlink(missing_ok=True)
                return created

    def _resumed(self, digest: Digest) -> tuple[Path, BinaryIO]:
        """A file aside to write ``digest`` into: what a dead writer of it left, else a new one.

        Its writer holds a lock on it, which ends with the writer's process. Taking one over renames it, so
        that only one heir gets it, and where locks do nothing the other writer fails and can repeat.
        """
        folder = self._root / INCOMING
        folder.mkdir(parents=True, exist_ok=True)
        own = folder / f"{digest.hex}.{uuid4().hex}"
        for left in sorted(folder.glob(f"{digest.hex}.*")):
            with suppress(OSError):
                file = left.open("r+b")
                with suppress(OSError):
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    # With a second name it is stored already, and its writer died before it said so.
                    if os.fstat(file.fileno()).st_nlink == 1:
                        left.rename(own)
                        return own, file
                file.close()
        # Locked under a name that nobody looks for, and only then found by its digest.
        unseen = folder / uuid4().hex
        file = unseen.open("x+b")
        with suppress(OSError):
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        unseen.rename(own)
        return own, file

    def _named(self, key: str, file: BinaryIO, incoming: Path, final: Path) -> bool:
        """Sync what was written aside and give it its name; ``False`` if the name is taken."""
        file.flush()
        os.fsync(file.fileno())
        try:
            final.parent.mkdir(parents=True, exist_ok=True)
            return _linked(incoming, final)
        except (FileExistsError, NotADirectoryError) as error:
            raise InvalidNameError(f"`{key}` is a folder of other keys, or lies below a key") from error

    def _must_hold(self, key: str, digest: Digest) -> None:
        if Digest.of_chunks(self._chunks(key)) != digest:
            raise AlreadyExistsError(f"`{key}` already holds other bytes")

    def _chunks(self, key: str, part: Part | None = None) -> Iterator[bytes]:
        with self._translated(key):
            file = self._path(key).open("rb")
        with file:
            left = part.size if part else None
            file.seek(part.start if part else 0)
            while left != 0:
                with self._translated(key):
                    chunk = file.read(CHUNK_BYTES if left is None else min(left, CHUNK_BYTES))
                if not chunk:
                    return
                left = None if left is None else left - len(chunk)
                yield chunk

    def _pieces(self, key: str) -> Iterator[memoryview]:
        with self._translated(key):
            file = self._path(key).open("rb", buffering=0)
        with file:
            pieces = pieces_of(file)
            while True:
                with self._translated(key):
                    piece = next(pieces, None)
                if piece is None:
                    return
                yield piece

    def _path(self, key: str) -> Path:
        return self._root / check_key(key)

    @contextmanager
    def _translated(self, key: str) -> Iterator[None]:
        try:
            yield
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError) as error:
            raise NotFoundError(f"nothing is stored at `{key}`") from error
        except PermissionError as error:
            raise AccessDeniedError(
                f"the folder `{self._root}` refuses `{key}`: {error.strerror}",
                hint="Ask the owner of the folder for access, or use another store.",
            ) from error
        except OSError as error:
            raise StoreUnavailableError(
                f"the folder `{self._root}` failed for `{key}`: {error.strerror}",
                hint="Check that the disk is there, not full, and knows hard links.",
            ) from error


def _not_silently(error: OSError) -> None:
    # A listing must be complete, so an unreadable folder is an error; one that is not there is empty.
    if not isinstance(error, FileNotFoundError | NotADirectoryError):
        raise error


def _linked(incoming: Path, final: Path) -> bool:
    try:
        os.link(incoming, final)
    except FileExistsError:
        if final.is_dir():
            raise
        return False
    # The name itself must survive a power cut; a file system that cannot sync folders is let off.
    with suppress(OSError):
        folder = os.open(final.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    return True


def _copied(chunks: Iterator[bytes], file: BinaryIO) -> Iterator[bytes]:
    for chunk in chunks:
        file.write(chunk)
        yield chunk


def _copy_part(local: LocalParts, file: BinaryIO, held: int, part: Part) -> int:
    """Write one part to its place, verified, unless the first ``held`` bytes of the file have it."""
    if part.start + part.size <= held and _holds(file, part):
        return part.size
    at = part.start
    for piece in local.pieces(part):
        write_at(file.fileno(), piece, at)
        at += len(piece)
    return part.size


def _holds(file: BinaryIO, part: Part) -> bool:
    return Digest.of_chunks(read_back(part, file.fileno())) == part.digest


def _chunks_of_local(path: Path) -> Iterator[bytes]:
    with local_files(path):
        file = path.open("rb")
    with file:
        while True:
            with local_files(path):
                chunk = file.read(CHUNK_BYTES)
            if not chunk:
                return
            yield chunk
