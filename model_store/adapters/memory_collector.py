"""Takes things out of a store in memory: the reference adapter, and the fake."""

from __future__ import annotations

from collections.abc import Iterator

from model_store.adapters.memory import MemoryStore
from model_store.collector import Upload
from model_store.ports import check_key


class MemoryCollector:
    """Deletes from one ``MemoryStore``. Its unfinished uploads are those it was told of."""

    def __init__(self, store: MemoryStore, *uploads: Upload) -> None:
        self._store = store
        self._uploads = list(uploads)

    def delete(self, key: str) -> None:
        # The store has no delete of its own, so that nobody who holds one can delete.
        with self._store._lock:  # noqa: SLF001
            self._store._objects.pop(check_key(key), None)  # noqa: SLF001
            self._store._written.pop(key, None)  # noqa: SLF001

    def uploads(self) -> Iterator[Upload]:
        yield from list(self._uploads)

    def abort(self, upload: Upload) -> None:
        self._uploads = [other for other in self._uploads if other.id != upload.id]
