"""Hash the files of an artifact, and send them to a store: the two passes of a publish."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from model_store.contract.errors import IntegrityError, LocalFileError
from model_store.contract.keys import blob_key
from model_store.contract.manifest import ArtifactFile
from model_store.place import local_files
from model_store.ports import ObjectStore, OnBytes, unheard
from model_store.transfer import hash_file, in_order

OnProgress = Callable[[str, int, int], None]
"""Told what happens now, how many bytes of the artifact are done, and how many there are."""

SMALL_AT_ONCE = 8
"""Files without parts that are sent at once; one after another, each would wait for the last one's answer."""


def hash_files(paths: Mapping[str, Path], say: OnProgress) -> tuple[ArtifactFile, ...]:
    """Take the digests of all files and of the parts of large ones; each byte is read once."""
    sizes = {}
    for name, path in paths.items():
        with local_files(path):
            sizes[name] = path.stat().st_size
    done = Progress(sum(sizes.values()), say)
    files: list[ArtifactFile] = []
    for name, path in paths.items():
        done.begins(f"hashing {name}")
        found = hash_file(path, done)
        files.append(ArtifactFile(name, found.digest, found.size, found.parts))
    return tuple(files)


def send_files(
    store: ObjectStore, paths: Mapping[str, Path], files: Sequence[ArtifactFile], say: OnProgress
) -> None:
    """Store every file under its digest: small ones several at once, large ones in parts.

    Raises ``IntegrityError`` for a file that is not what it was when it was hashed. Files that the store
    holds are not sent again, nor are the parts of a large one that arrived before an interruption.
    """
    done = Progress(sum(file.size for file in files), say)

    def send(file: ArtifactFile, on_bytes: OnBytes) -> int:
        try:
            store.put_file_once(blob_key(file.digest), paths[file.path], file.digest, file.parts, on_bytes)
        except (IntegrityError, LocalFileError) as error:
            raise IntegrityError(
                f"`{file.path}` changed while it was being published",
                hint="Wait until nothing writes to it, then publish again.",
            ) from error
        return file.size

    def announced(wanted: Sequence[ArtifactFile]) -> Iterator[ArtifactFile]:
        for file in wanted:
            done.begins(f"storing {file.path}")
            yield file

    small = announced([file for file in files if not file.parts])
    for size in in_order(lambda file: send(file, unheard), small, at_once=SMALL_AT_ONCE):
        done(size)
    for file in announced([file for file in files if file.parts]):
        send(file, done)
    done.begins("stored")


class Progress:
    """Adds up what is done, and says it with what is going on."""

    def __init__(self, total: int, say: OnProgress | None) -> None:
        self._total, self._say = total, say or (lambda _step, _done, _total: None)
        self._step, self._done = "", 0

    def begins(self, step: str) -> None:
        self._step = step
        self(0)

    def __call__(self, count: int) -> None:
        self._done += count
        self._say(self._step, self._done, self._total)
