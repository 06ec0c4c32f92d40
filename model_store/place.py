"""Place a stream of bytes as a file: verified while it is written, visible only when it is whole."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from io import FileIO
from pathlib import Path
from typing import BinaryIO
from uuid import uuid4

from model_store.contract.digest import Digest
from model_store.contract.errors import LocalFileError

Buffer = bytes | bytearray | memoryview
"""What can be hashed and written."""


PIECE_BYTES = 256 * 1024
"""Read and written at once: small enough to be in the processor's cache when it is written."""


def place(chunks: Iterable[Buffer], path: Path, digest: Digest) -> None:
    """Write ``chunks`` to ``path`` if they are what ``digest`` names.

    Raises ``IntegrityError`` when they are not, and whatever ``chunks`` raises; in both cases nothing
    appears at ``path`` and an earlier file there stays. A killed process leaves a hidden ``.part``
    file beside it. Repeating the call is safe.
    """
    running = hashlib.sha256()
    with placing(path) as file:
        for chunk in chunks:
            running.update(chunk)
            with local_files(path):
                file.write(chunk)
        digest.must_equal(Digest(running.hexdigest()), what=f"`{path.name}`")


@contextmanager
def placing(path: Path) -> Iterator[BinaryIO]:
    """Give a file to write and read; it becomes ``path`` when the block ends, and nothing if it raises."""
    part = path.parent / f".{path.name}.{uuid4().hex}.part"
    try:
        # Not tempfile: its files are private to one user, and a Lambda layer is read by another.
        with local_files(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            file = part.open("x+b")
        with file:
            yield file
            with local_files(path):
                file.flush()
                os.fsync(file.fileno())
        with local_files(path):
            part.replace(path)
    finally:
        with suppress(OSError):  # what went wrong is said by what is raised already
            part.unlink()


def pieces_of(file: FileIO) -> Iterator[memoryview]:
    """The bytes of an open file, little by little in one buffer: a piece is good until the next is asked for.

    A new ``bytes`` for each would cost more than the copy: its memory comes from the kernel, and is zeroed.
    """
    buffer = memoryview(bytearray(PIECE_BYTES))
    while got := file.readinto(buffer):
        yield buffer[:got]


@contextmanager
def local_files(path: Path) -> Iterator[None]:
    """Say in this project's words what a file or folder of this machine refuses."""
    try:
        yield
    except OSError as error:
        raise LocalFileError(
            f"`{path}` cannot be read or written: {error.strerror or error}",
            hint="Check that the folder exists, that you may use it, and that the disk is not full.",
        ) from error
