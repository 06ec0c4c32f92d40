"""Place a stream of bytes as a file: verified while it is written, visible only when it is whole."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from uuid import uuid4

from model_store.contract.digest import Digest
from model_store.contract.errors import LocalFileError


def place(chunks: Iterable[bytes], path: Path, digest: Digest) -> None:
    """Write ``chunks`` to ``path`` if they are what ``digest`` names.

    Raises ``IntegrityError`` when they are not, and whatever ``chunks`` raises; in both cases nothing
    appears at ``path`` and an earlier file there stays. A killed process leaves a hidden ``.part``
    file beside it. Repeating the call is safe.
    """
    part = path.parent / f".{path.name}.{uuid4().hex}.part"
    try:
        with local_files(path):
            path.parent.mkdir(parents=True, exist_ok=True)
        digest.must_equal(_write(chunks, part), what=f"`{path.name}`")
        with local_files(path):
            part.replace(path)
    finally:
        with suppress(OSError):  # what went wrong is said by what is raised already
            part.unlink()


def _write(chunks: Iterable[bytes], part: Path) -> Digest:
    running = hashlib.sha256()
    # Not tempfile: its files are private to one user, and a Lambda layer is read by another.
    with local_files(part):
        file = part.open("xb")
    with file:
        for chunk in chunks:
            running.update(chunk)
            with local_files(part):
                file.write(chunk)
        with local_files(part):
            file.flush()
            os.fsync(file.fileno())
    return Digest(running.hexdigest())


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
