"""Pins: a person's word that a version is to be kept, whatever else becomes of it.

A pin is a numbered, write-once record; letting go is a second one beside it. Nothing is edited, so it can
always be read who kept what, since when and why.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass

from model_store.contract.errors import NotFoundError
from model_store.contract.keys import number_in, pin_end_key, pin_key, pins_prefix
from model_store.contract.names import ByVersion
from model_store.ports import ObjectStore
from model_store.sweeps import must_not_be_going
from model_store.versions import load_manifest


@dataclass(frozen=True, slots=True)
class Pin:
    """Who wants a version kept, since when, and why."""

    model: str
    version: int
    number: int
    by: str
    at: str
    reason: str

    @property
    def ref(self) -> ByVersion:
        return ByVersion(self.model, self.version)

    def to_json(self) -> bytes:
        return json.dumps(asdict(self), sort_keys=True, separators=(",", ":")).encode()

    @classmethod
    def from_json(cls, data: bytes) -> Pin:
        return cls(**json.loads(data))


def pin(
    store: ObjectStore, ref: ByVersion, *, reason: str, by: str, at: str, now: Callable[[], float]
) -> Pin:
    """Keep ``ref`` from now on, until everybody who pinned it has let go.

    Raises ``NotFoundError`` if it does not exist, and ``CollectionRunningError`` while a collection may
    take it away: the pin is written before it is asked, so one of the two gives way.
    """
    load_manifest(store, ref)
    number = max(_numbers(store, ref), default=0) + 1
    while True:
        made = Pin(ref.model, ref.version, number, by, at, reason)
        if store.try_put_once(pin_key(ref.model, ref.version, number), made.to_json()):
            break
        number += 1
    must_not_be_going(store, now, ref)
    load_manifest(store, ref)
    return made


def unpin(store: ObjectStore, ref: ByVersion, *, reason: str, by: str, at: str) -> list[Pin]:
    """Let go of every pin of ``ref`` and return them; raise ``NotFoundError`` if there is none.

    Safe to repeat after a crash: what was let go stays so.
    """
    held = [found for found in pins(store, ref.model) if found.ref == ref]
    if not held:
        raise NotFoundError(f"`{ref}` is not pinned", hint=f"See what is: `yard pins {ref.model}`.")
    body = json.dumps({"at": at, "by": by, "reason": reason}, sort_keys=True, separators=(",", ":")).encode()
    for found in held:
        store.try_put_once(pin_end_key(ref.model, ref.version, found.number), body)
    return held


def pins(store: ObjectStore, model: str) -> list[Pin]:
    """Every pin of ``model`` that holds, by version and age."""
    keys = list(store.keys(pins_prefix(model)))
    ended = {key.removesuffix(".ended") for key in keys if key.endswith(".ended")}
    held = [key for key in keys if key.endswith(".json") and key.removesuffix(".json") not in ended]
    return [Pin.from_json(store.get(key)) for key in held]


def _numbers(store: ObjectStore, ref: ByVersion) -> list[int]:
    prefix = pin_key(ref.model, ref.version, 0).rpartition("/")[0]
    return [number_in(key) for key in store.keys(f"{prefix}/") if key.endswith(".json")]
