"""What garbage collection needs from a store beyond ``ObjectStore``: the only port that can delete.

It is apart from ``ports`` on purpose. Code that publishes, fetches or releases is handed an
``ObjectStore`` and cannot delete by mistake; where the store is a bucket, its policy refuses a deletion to
everybody but the collector's role. The laws, checked in ``tests/contract/test_collector.py``:

* ``delete`` takes the key away for everybody who looks afterwards; a key that is gone already is a no-op.
* ``uploads`` names what an interrupted write left and no key shows, with its age and its size.
* ``abort`` ends such a write and frees what it held; one that is gone already is a no-op. A write that
  goes on all the same fails, and repeating it starts anew.
* Nothing but errors of this project comes out.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Upload:
    """A write that was begun and not finished: where it goes, what the backend calls it, since when."""

    key: str
    id: str
    begun_at: datetime
    size: int


class Collector(Protocol):
    """Takes things out of one store."""

    def delete(self, key: str) -> None:
        """Take ``key`` away."""
        ...

    def uploads(self) -> Iterator[Upload]:
        """Walk the unfinished writes."""
        ...

    def abort(self, upload: Upload) -> None:
        """End an unfinished write."""
        ...
