"""Bring a store back from a replica: every version, every tombstone, and why each alias is where it is.

What belongs to the Lambda functions of the lost region stays behind: bases, leases, what was prepared,
running shifts. The new region's deploy writes its own. A replica may lag and may have gaps, since replication
keeps no order: a version whose files are not all there is left out and named, everything else is brought.

Law 1 holds on the way: files first, each verified by its digest, manifests after them, ledgers last. Running
it again goes on; a target that holds something else under the same key is refused.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from model_store.contract.errors import IntegrityError, NotFoundError
from model_store.contract.keys import (
    indexed_prefix,
    ledgers_prefix,
    manifest_key,
    pins_prefix,
    plans_prefix,
    removed_prefix,
)
from model_store.contract.names import ByVersion
from model_store.ports import ObjectStore
from model_store.promote import copy_files
from model_store.send import OnProgress
from model_store.tombstones import is_removed
from model_store.versions import models, read_manifest, written

_AT_ONCE = 16


@dataclass(slots=True)
class Brought:
    """What came: versions, other keys, and what could not come, as sentences."""

    versions: list[ByVersion] = field(default_factory=list)
    keys: int = 0
    lost: list[str] = field(default_factory=list)


def bring(
    source: ObjectStore, target: ObjectStore, *, say: OnProgress = lambda _step, _done, _total: None
) -> Brought:
    """Copy what ``source`` has of every model into ``target``. Nothing is ever written to ``source``."""
    brought = Brought()
    for model in models(source):
        # First, so that a version that was taken away is not missed.
        for prefix in (removed_prefix(model), pins_prefix(model)):
            brought.keys += _copy_keys(source, target, prefix)
        for number in written(source, model):
            _bring_version(source, target, ByVersion(model, number), brought, say)
        prefixes = [
            indexed_prefix(model),
            f"models/{model}/digests/",
            plans_prefix(model),
            ledgers_prefix(model),
        ]
        for prefix in (*prefixes, f"models/{model}/pages/"):
            brought.keys += _copy_keys(source, target, prefix)
    return brought


def _bring_version(
    source: ObjectStore, target: ObjectStore, ref: ByVersion, brought: Brought, say: OnProgress
) -> None:
    key = manifest_key(ref.model, ref.version)
    try:
        manifest = read_manifest(source, ref)
        if not is_removed(source, ref):
            copy_files(source, target, manifest, say)
    except (IntegrityError, NotFoundError) as error:
        brought.lost.append(f"`{ref}` is not whole in the replica: {error}")
        return
    target.put_once(key, source.get(key))
    brought.versions.append(ref)


def _copy_keys(source: ObjectStore, target: ObjectStore, prefix: str) -> int:
    def copy(key: str) -> None:
        target.put_once(key, source.get(key))

    return _each(copy, source.keys(prefix))


def _each(work: Callable[[str], None], keys: Iterator[str]) -> int:
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        return sum(1 for _ in pool.map(work, keys))
