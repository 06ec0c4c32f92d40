"""What a function needs from the cloud beyond the event it is given. The hot path needs none of it.

The laws, checked against every adapter in ``tests/contract/test_inference_ports.py``:

* ``read`` returns exactly what ``write`` was given, with its header length; nothing there is
  ``UnknownUploadError``, more than ``limit`` is ``TooLargeError`` and is not read.
* ``look`` says how large an object is and how old, and gives its first bytes; it reads no more of it.
* ``write`` replaces: writing the same twice is writing it once.
* ``sizes`` are kept: an upload address takes one object of exactly the size it was made for.
* ``tell`` returns as soon as the event is taken, whatever becomes of it.
* ``keep`` is done when it returns: the whole object stands there. It raises as ``Blobs`` do, below.
* Everything else that goes wrong is ``CloudUnavailableError``, and the same call may work later.

``Blobs`` are what a start reads, where no layer carries the model, and speak in the store's errors:

* ``fill`` fills the whole buffer with exactly the bytes that stand there, or raises.
* Nothing there is ``NotFoundError``, or ``AccessDeniedError`` where who asks may not know; an object that is
  shorter than asked for, or longer than a ``limit``, is ``IntegrityError``.
* What may work later is ``StoreUnavailableError``, expired credentials that can be renewed among it.
* Both may be called from several threads at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Stored:
    """An object: a request or an answer, as it would travel in an HTTP body.

    ``json_length`` is set when binary data follow the JSON, as the header
    ``Inference-Header-Content-Length`` would say. ``age_s`` is how long ago it was written.
    """

    body: bytes
    json_length: int | None = None
    age_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Seen:
    """What a look at an object shows: its size in bytes, its age in seconds, and how it begins."""

    size: int
    age_s: float
    head: bytes


@dataclass(frozen=True, slots=True)
class Address:
    """Where somebody without AWS credentials may send or fetch one object, for a while."""

    url: str
    headers: dict[str, str]


class Objects(Protocol):
    """Objects in buckets."""

    def read(self, bucket: str, key: str, *, limit: int) -> Stored: ...

    def look(self, bucket: str, key: str, *, first: int) -> Seen: ...

    def write(self, bucket: str, key: str, stored: Stored) -> None: ...

    def upload_address(self, bucket: str, key: str, *, size: int, seconds: int) -> Address: ...

    def download_address(self, bucket: str, key: str, *, seconds: int) -> Address: ...


class Shadow(Protocol):
    """Another version that is told what was asked and answered, and answers nobody."""

    def tell(self, event: bytes) -> None: ...


class Captures(Protocol):
    """Where captured requests are kept. The function may write under its model's prefix, and no more."""

    def keep(self, key: str, data: bytes) -> None: ...


class Blobs(Protocol):
    """What the model store holds, for a function that may only read."""

    def get(self, key: str, *, limit: int) -> bytes:
        """A whole object of at most ``limit`` bytes."""

    def fill(self, key: str, start: int, buffer: memoryview) -> None:
        """The bytes of an object from ``start`` on, as many as ``buffer`` has."""

    def close(self) -> None:
        """Let connections go; a snapshot must hold none. The next call makes new ones."""


class Queue(Protocol):
    """Messages to somebody else. Sent at least once: a repeated batch sends its answers again."""

    def send(self, queue_url: str, body: str, *, answers: str) -> None: ...
