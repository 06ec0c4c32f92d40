"""What goes over the wire, as steps that somebody else performs.

A call is a generator: it yields ``Send`` and is handed a ``Reply`` (or an ``UnreachableError`` is thrown
into it), it yields ``Wait`` and is resumed later, and it returns its result. ``Client`` performs the steps
with threads' blocking calls, ``AsyncClient`` with ``await``; what a call *is* stands here once.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from switchyard_client.errors import TimedOutError, UnreachableError, refusal
from switchyard_client.messages import error_in

REPEATED = frozenset({429, 500, 502, 503, 504})
"""Answers after which the same request may succeed. Inference changes nothing, so it may be repeated."""


@dataclass(frozen=True, slots=True)
class Send:
    """Perform one HTTP request. ``authorised`` ones carry the caller's own proof, the others none."""

    method: str
    url: str
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    timeout_s: float | None = None
    authorised: bool = True


@dataclass(frozen=True, slots=True)
class Wait:
    """Go on after this long."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back; header names are lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


T = TypeVar("T")
Call = Generator[Send | Wait, Reply | None, T]


@dataclass(frozen=True, slots=True)
class Retries:
    """How often and how patiently a call is repeated.

    Before attempt n the wait is random between nothing and ``first_wait_s * 2**(n-2)``, at most
    ``longest_wait_s``: callers that failed together do not come back together. A server's ``Retry-After``
    counts as the least wait, and not beyond ``longest_wait_s``.
    """

    attempts: int = 4
    first_wait_s: float = 0.2
    longest_wait_s: float = 5.0

    def wait_s(self, failed: int, *, jitter: float, asked: str | None = None) -> float:
        """Seconds to wait after so many failed attempts; ``jitter`` is between 0 and 1."""
        own: float = jitter * min(self.longest_wait_s, self.first_wait_s * 2 ** (failed - 1))
        return max(own, min(self.longest_wait_s, _seconds(asked)))


def _seconds(retry_after: str | None) -> float:
    """``Retry-After`` in seconds; its other form, a date, is not worth a clock here."""
    return float(retry_after) if retry_after and retry_after.isdecimal() else 0.0


def ask(request: Send, retries: Retries, *, jitter: Callable[[], float] = random.random) -> Call[Reply]:
    """Send a request until an answer comes that is no passing failure, and return it whatever it is.

    Raises ``UnreachableError`` when none came. A timeout is not repeated: it has used up its time.
    """
    failed = 0
    while True:
        asked: str | None = None
        try:
            reply = yield request
        except TimedOutError:
            raise
        except UnreachableError:
            failed += 1
            if failed >= retries.attempts:
                raise
        else:
            assert reply is not None
            failed += 1
            if reply.status not in REPEATED or failed >= retries.attempts:
                return reply
            asked = reply.headers.get("retry-after")
        yield Wait(retries.wait_s(failed, jitter=jitter(), asked=asked))


def accepted(reply: Reply) -> Reply:
    """The reply, if it is not an error; else the error it is."""
    if reply.status < 300:
        return reply
    said = error_in(reply.body) or reply.body[:200].decode("utf-8", "replace").strip()
    raise refusal(reply.status, said or f"the server answered {reply.status}")
