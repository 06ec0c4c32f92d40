"""What the model store needs from a place that keeps bytes.

The laws, checked against every adapter in ``tests/contract/test_object_store.py``:

* ``get`` returns exactly the bytes that were put, and ``fetch_file`` writes exactly the bytes that
  its digest names: all of them under the final name, or nothing.
* ``chunks`` streams exactly the bytes of the key, or of the part asked for; a key that holds too few for
  the part is an ``IntegrityError``. Nothing of it is verified: the caller knows what it should be.
* A key means one thing for ever. Other bytes get ``AlreadyExistsError`` and change nothing.
* ``put_once`` and ``put_file_once`` of the same bytes again are no-ops, so they may be repeated after
  any failure.
* ``try_put_once`` answers ``True`` to exactly one caller per key, whatever bytes the callers bring:
  the same bytes from another writer do not count. It is how numbers, ledger lines and leases are
  claimed. After ``StoreUnavailableError`` nobody knows whether the claim was written: read the key.
* ``put_file_once`` refuses a file that is not what its digest says, before the key exists; with ``parts``
  it also refuses one that is not what its parts say. Interrupted, it leaves no key, and repeating it
  completes it; the parts that a bucket or a folder has already are not sent again.
* ``parts`` change how a file travels and nothing else: a file put with parts is fetched without, and the
  other way round.
* A file is never whole in memory: a few chunks or parts of it are.
* When a call returns, ``on_bytes`` has been told of every byte of the file once, whether it was moved now
  or was there already; always from the thread that made the call.
* ``keys`` is sorted by code point, complete, and sees every put that has returned. ``entries`` is the
  same with sizes and times, at the same price: one call per thousand keys.
* Nothing but errors of this project comes out, also in the middle of a stream or a listing.

There is no delete and no overwrite: releases and rollbacks do not need them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol

from model_store.contract.digest import Digest
from model_store.contract.errors import InvalidNameError
from model_store.contract.parts import Part, Parts

MAX_KEY_LENGTH = 1024
"""Longest key. Source: Amazon S3 user guide, "Naming Amazon S3 objects", 1,024 bytes."""

_SEGMENT = r"[A-Za-z0-9][A-Za-z0-9._-]*"
_KEY = re.compile(rf"{_SEGMENT}(?:/{_SEGMENT})*")


OnBytes = Callable[[int], None]
"""Told how many more bytes are done."""


def unheard(_: int) -> None:
    """What is told of bytes when nobody asked."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A key as a listing shows it: how many bytes it holds, and when it was written (UTC)."""

    key: str
    size: int
    written_at: datetime


class ObjectStore(Protocol):
    """Keys and bytes. Every implementation may be used from several threads at once."""

    def put_once(self, key: str, data: bytes) -> None:
        """Store ``data``; a no-op if the key already holds the same bytes."""
        ...

    def try_put_once(self, key: str, data: bytes) -> bool:
        """Store ``data`` if nobody holds the key; say whether this very call created it."""
        ...

    def put_file_once(
        self,
        key: str,
        path: Path,
        digest: Digest,
        parts: Parts | None = None,
        on_bytes: OnBytes = unheard,
    ) -> None:
        """Stream the file at ``path``; refuse it with ``IntegrityError`` if it is not ``digest``.

        With ``parts`` several of them travel at once.
        """
        ...

    def copy_once(self, source: str, target: str, digest: Digest, parts: Parts | None = None) -> None:
        """Let ``target`` hold the bytes of ``source``, which are ``digest``; a no-op if it does already.

        With ``parts`` nothing travels through the caller. Refused with ``IntegrityError`` if they are not.
        """
        ...

    def get(self, key: str) -> bytes:
        """Return what the key holds, or raise ``NotFoundError``."""
        ...

    def chunks(self, key: str, part: Part | None = None) -> Iterator[bytes]:
        """Stream what the key holds, or one part of it, unverified; raise ``NotFoundError`` if nothing."""
        ...

    def fetch_file(
        self,
        key: str,
        path: Path,
        digest: Digest,
        parts: Parts | None = None,
        on_bytes: OnBytes = unheard,
    ) -> None:
        """Stream the bytes to ``path``, verified on the way; a file already there is replaced.

        With ``parts`` several of them travel at once, each of them verified as well.
        """
        ...

    def exists(self, key: str) -> bool:
        """Say whether the key holds anything."""
        ...

    def keys(self, prefix: str, after: str | None = None) -> Iterator[str]:
        """Walk the keys that begin with ``prefix`` and come after ``after``, in order."""
        ...

    def entries(self, prefix: str, after: str | None = None) -> Iterator[Entry]:
        """Walk the same keys, with their sizes and the times they were written."""
        ...


def check_key(key: str) -> str:
    """Return ``key`` if every adapter can hold it: plain words between single slashes.

    A key that would leave a folder or hide in one is refused here, so that no adapter meets it.
    """
    if len(key) <= MAX_KEY_LENGTH and _KEY.fullmatch(key):
        return key
    raise InvalidNameError(
        f"`{key[:80]}` is not a key of the model store",
        hint="Join words of letters, digits, `.`, `_` and `-` by single slashes; none begins with a dot.",
    )
