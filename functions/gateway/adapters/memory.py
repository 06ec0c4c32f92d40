"""The reference adapter: an endpoint in memory, which can have a bad day. Tests need no cloud."""

from __future__ import annotations

from collections.abc import Callable

from functions.gateway.ports import Said, ThrottledError
from functions.protocol.errors import DeadlineError, NotReadyError

Computes = Callable[[bytes, int | None], Said]


class MemoryEndpoint:
    """``functions.gateway.ports.Endpoint`` without a network.

    ``throttled`` so many of the next requests are refused; ``takes_s`` is how long an answer would take,
    which nobody waits for; ``exists`` is whether there is one at all.
    """

    def __init__(self, computes: Computes) -> None:
        self._computes = computes
        self.throttled = 0
        self.takes_s = 0.0
        self.exists = True
        self.asked: list[tuple[bytes, int | None]] = []

    def infer(self, body: bytes, json_length: int | None, *, seconds: float) -> Said:
        self.must_be_ready(seconds=seconds)
        if self.throttled:
            self.throttled -= 1
            raise ThrottledError("too many requests")
        self.asked.append((body, json_length))
        if self.takes_s > seconds:
            raise DeadlineError("the endpoint did not answer within the time that was left for it")
        return self._computes(body, json_length)

    def must_be_ready(self, *, seconds: float) -> None:
        del seconds
        if not self.exists:
            raise NotReadyError("the endpoint of this version does not exist")

    def close(self) -> None:
        """Nothing is kept."""
