"""A folder on this machine as a store: for laptops, tests and shared disks."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO
from uuid import uuid4

from model_store.contract.digest import CHUNK_BYTES, Digest
from model_store.contract.errors import (
    AccessDeniedError,
    AlreadyExistsError,
    InvalidNameError,
    NotFoundError,
    StoreUnavailableError,
)
from model_store.place import local_files, place
from model_store.ports import check_key

# No key can begin with a dot, so nothing in here is ever taken for one.
_INCOMING = ".incoming"


class DirectoryStore:
    """Every key is a file below ``root``; a key that is a folder of other keys is refused.

    Bytes are written and synced aside, then linked under their name: the link is the atomic
    create-if-absent of a file system, so no reader sees half a file and of two writers one wins. A
    killed process leaves a file in ``.incoming`` and nothing else.
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

    def put_file_once(self, key: str, path: Path, digest: Digest) -> None:
        def copy(file: BinaryIO) -> None:
            found = Digest.of_chunks(_copied(_chunks_of_local(path), file))
            digest.must_equal(found, what=f"`{path.name}`")

        if not self._create(key, copy):
            self._must_hold(key, digest)

    def get(self, key: str) -> bytes:
        with self._translated(key):
            return self._path(key).read_bytes()

    def fetch_file(self, key: str, path: Path, digest: Digest) -> None:
        place(self._chunks(key), path, digest)

    def exists(self, key: str) -> bool:
        with self._translated(key):
            return self._path(key).is_file()

    def keys(self, prefix: str, after: str | None = None) -> Iterator[str]:
        # Names are sorted whole: in a walk `a/1` would come before `a-b`, which is smaller.
        with self._translated(prefix):
            held = sorted(self._walk(prefix))
        yield from (key for key in held if key.startswith(prefix) and (after is None or key > after))

    def _walk(self, prefix: str) -> Iterator[str]:
        folder = prefix.rpartition("/")[0]
        start = self._root / check_key(folder) if folder else self._root
        for where, folders, names in os.walk(start, onerror=_not_silently):
            folders[:] = [name for name in folders if name != _INCOMING]
            yield from ((Path(where) / name).relative_to(self._root).as_posix() for name in names)

    def _create(self, key: str, write: Callable[[BinaryIO], None]) -> bool:
        final = self._path(key)
        incoming = self._root / _INCOMING / uuid4().hex
        with self._translated(key):
            incoming.parent.mkdir(parents=True, exist_ok=True)
            try:
                with incoming.open("xb") as file:
                    write(file)
                    file.flush()
                    os.fsync(file.fileno())
                final.parent.mkdir(parents=True, exist_ok=True)
                return _linked(incoming, final)
            except (FileExistsError, NotADirectoryError) as error:
                raise InvalidNameError(f"`{key}` is a folder of other keys, or lies below a key") from error
            finally:
                incoming.unlink(missing_ok=True)

    def _must_hold(self, key: str, digest: Digest) -> None:
        if Digest.of_chunks(self._chunks(key)) != digest:
            raise AlreadyExistsError(f"`{key}` already holds other bytes")

    def _chunks(self, key: str) -> Iterator[bytes]:
        with self._translated(key):
            file = self._path(key).open("rb")
        with file:
            while True:
                with self._translated(key):
                    chunk = file.read(CHUNK_BYTES)
                if not chunk:
                    return
                yield chunk

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
