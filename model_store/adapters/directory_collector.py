"""Takes things out of a folder that is a store."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from model_store.adapters.directory import INCOMING
from model_store.collector import Upload
from model_store.contract.errors import InvalidNameError
from model_store.place import local_files
from model_store.ports import check_key


class DirectoryCollector:
    """Deletes files of one ``DirectoryStore``. What a killed writer left in ``.incoming`` is its uploads."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def delete(self, key: str) -> None:
        path = self._root / check_key(key)
        if path.is_dir():
            raise InvalidNameError(f"`{key}` is a folder of other keys")
        with local_files(path), suppress(FileNotFoundError, NotADirectoryError):
            path.unlink()

    def uploads(self) -> Iterator[Upload]:
        folder = self._root / INCOMING
        with local_files(folder):
            held = sorted(folder.iterdir()) if folder.is_dir() else []
        found: list[Upload] = []
        for path in held:
            with local_files(path), suppress(FileNotFoundError):  # its writer may have finished
                facts = path.stat()
                begun = datetime.fromtimestamp(facts.st_mtime, UTC)
                found.append(Upload("", path.name, begun, facts.st_size))
        yield from found

    def abort(self, upload: Upload) -> None:
        path = self._root / INCOMING / check_key(upload.id)
        with local_files(path), suppress(FileNotFoundError):
            path.unlink()
