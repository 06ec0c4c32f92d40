"""Tombstones: what stays of a version that was taken away. Writing one is what removes the version.

It is to removal what the manifest is to publishing: a crash before it leaves the version as it was, a
crash after it leaves leftovers that the next collection takes. A number with a tombstone is no version,
whatever lies under its manifest's key, and is never given again.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

from model_store.contract.keys import number_in, removed_prefix, tombstone_key
from model_store.contract.names import ByVersion
from model_store.ports import ObjectStore


@dataclass(frozen=True, slots=True)
class Tombstone:
    """What a version was, when it went, and why."""

    model: str
    version: int
    digest: str
    size: int
    created_at: str
    removed_at: str
    removed_by: str
    why: str

    @property
    def ref(self) -> ByVersion:
        return ByVersion(self.model, self.version)

    def to_json(self) -> bytes:
        return json.dumps(asdict(self), sort_keys=True, separators=(",", ":")).encode()

    @classmethod
    def from_json(cls, data: bytes) -> Tombstone:
        return cls(**json.loads(data))


def removed(store: ObjectStore, model: str) -> list[int]:
    """Number every version of ``model`` that was taken away, in order."""
    return [number_in(key) for key in store.keys(removed_prefix(model))]


def is_removed(store: ObjectStore, ref: ByVersion) -> bool:
    """Whether ``ref`` was taken away."""
    return store.exists(tombstone_key(ref.model, ref.version))


def bury(store: ObjectStore, tombstone: Tombstone) -> bool:
    """Remove a version; ``False`` if it was removed before."""
    return store.try_put_once(tombstone_key(tombstone.model, tombstone.version), tombstone.to_json())
