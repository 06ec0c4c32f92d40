"""Tombstones of Lambda versions: written before one is deleted, they stay of it.

What a tombstone names is as good as gone from then on: no release uses it again and no pin is led to it,
also if its collector died before it could delete it. The model version itself is untouched, and released
again it is prepared anew, under another number.
"""

from __future__ import annotations

from collections.abc import Iterable

from model_store.contract.keys import collected_key, collected_prefix, number_in
from model_store.ports import ObjectStore
from releases.records import Prepared, canonical

Gone = frozenset[tuple[int, str]]
"""Model versions and their Lambda versions that were collected."""


def collected(store: ObjectStore, model: str) -> Gone:
    """Everything of ``model`` that was taken, or is about to be. One listing."""
    return frozenset(_pair(key) for key in store.keys(collected_prefix(model)))


def bury(store: ObjectStore, gone: Iterable[Prepared], *, by: str, why: str, at: str) -> None:
    """Write down that these go. Safe to repeat: the first word stands."""
    for one in gone:
        body = {"at": at, "by": by, "digest": one.digest, "why": why}
        key = collected_key(one.model, one.version, one.base or "none", int(one.lambda_version))
        store.try_put_once(key, canonical(body))


def _pair(key: str) -> tuple[int, str]:
    version, name = key.rsplit("/", 2)[1:]
    return int(version), str(number_in(f"/{name.rpartition('-')[2]}"))
