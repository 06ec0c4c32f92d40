"""The reference adapter: an endpoint in memory, which can have a bad day. Tests need no cloud."""

from __future__ import annotations

from collections.abc import Callable

from functions.gateway.ports import Patience, Places, Said, ThrottledError, asleep
from functions.inference.ports import Objects, Stored
from functions.protocol.errors import DeadlineError, NotReadyError

SCHEME = "s3://"

Computes = Callable[[bytes, int | None], Said]


class MemoryEndpoint:
    """``functions.gateway.ports.Endpoint`` without a network.

    ``throttled`` so many of the next requests are refused; ``takes_s`` is how long an answer would take,
    which nobody waits for; ``exists`` is whether there is one at all. With ``objects`` and ``folder``, an
    address as ``s3://bucket/prefix``, it answers later too: at once unless ``asleep``, and then in ``wake``.
    ``explained`` counts those of ``asked`` that wanted an explanation.
    """

    def __init__(
        self, computes: Computes, objects: Objects | None = None, folder: str = "s3://later"
    ) -> None:
        self._computes = computes
        self._objects = objects
        self._folder = folder
        self.asleep = False
        self.queued: list[tuple[str, bytes | str, int | None, Patience]] = []
        self.throttled = 0
        self.takes_s = 0.0
        self.exists = True
        self.asked: list[tuple[bytes, int | None]] = []
        self.explained = 0

    def infer(self, body: bytes, json_length: int | None, *, seconds: float, explain: bool = False) -> Said:
        self.must_be_ready(seconds=seconds)
        if self.asleep:
            raise asleep()
        if self.throttled:
            self.throttled -= 1
            raise ThrottledError("too many requests")
        self.asked.append((body, json_length))
        self.explained += explain
        if self.takes_s > seconds:
            raise DeadlineError("the endpoint did not answer within the time that was left for it")
        return self._computes(body, json_length)

    def begin(
        self, payload: bytes | str, json_length: int | None, *, name: str, patience: Patience, seconds: float
    ) -> Places:
        self.must_be_ready(seconds=seconds)
        if self.throttled:
            self.throttled -= 1
            raise ThrottledError("too many requests")
        self.queued.append((name, payload, json_length, patience))
        if not self.asleep:
            self.wake()
        return self._places(name)

    def wake(self) -> None:
        """Answer everything that is queued."""
        assert self._objects is not None, "this endpoint was given no place for its answers"
        while self.queued:
            name, payload, json_length, _ = self.queued.pop(0)
            body = (
                payload
                if isinstance(payload, bytes)
                else self._objects.read(*_place(payload), limit=1 << 30).body
            )
            self.asked.append((body, json_length))
            said = self._computes(body, json_length)
            place = self._places(name).output if said.status == 200 else self._places(name).failure
            self._objects.write(*_place(place), Stored(said.body))

    def _places(self, name: str) -> Places:
        return Places(f"{self._folder}/answers/{name}.out", f"{self._folder}/failures/{name}-error.out")

    def must_be_ready(self, *, seconds: float) -> None:
        del seconds
        if not self.exists:
            raise NotReadyError("the endpoint of this version does not exist")

    def close(self) -> None:
        """Nothing is kept."""


def _place(address: str) -> tuple[str, str]:
    bucket, _, key = address.removeprefix(SCHEME).partition("/")
    return bucket, key
