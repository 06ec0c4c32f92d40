"""What garbage collection needs from Lambda beyond ``Functions``: the one port of this room that can delete.

It is apart from ``ports`` on purpose. Code that releases is handed ``Functions`` and cannot delete by
mistake; on AWS the deleting calls are made in the name of the collector's role, and the stacks give no
other role the permission. The laws, checked against every adapter in
``tests/contract/test_function_collector.py``:

* ``versions`` names every published version of a function, oldest first, and never ``$LATEST``; a function
  that does not exist has none.
* ``delete_version`` takes one away for everybody who looks afterwards; one that is gone already is a no-op.
  A version that an alias leads to, or gives a share, is refused with ``LostRaceError`` and stays.
* The number of a version that was deleted is never given again, and other versions stay as they are.
* ``layers`` names the versions of a layer that can still be used; ``delete_layer`` takes one away, and one
  that is gone already is a no-op. Functions that carry it go on as before.
* Nothing but errors of this project comes out.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from releases.ports import FunctionConfig


@dataclass(frozen=True, slots=True)
class PublishedVersion:
    """A published version: what it is, since when (UTC), and how many bytes its own code takes."""

    config: FunctionConfig
    at: datetime
    size: int


@dataclass(frozen=True, slots=True)
class PublishedLayer:
    """A version of a layer, and since when there is one (UTC)."""

    arn: str
    at: datetime


class FunctionCollector(Protocol):
    """Looks for garbage in Lambda, and takes it."""

    def versions(self, function: str) -> list[PublishedVersion]: ...

    def layers(self, name: str) -> list[PublishedLayer]: ...

    def layer_size(self, arn: str) -> int:
        """Bytes of its zip; 0 if it is gone."""

    def delete_version(self, function: str, version: str) -> None: ...

    def delete_layer(self, arn: str) -> None: ...
