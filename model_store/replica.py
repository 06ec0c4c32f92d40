"""Bring a store back from a replica: every version, every tombstone, and why each alias is where it is.

What belongs to the Lambda functions of the lost region stays behind: bases, leases, what was prepared,
running shifts. The new region's deploy writes its own. A replica may lag and may have gaps, since replication
keeps no order: a version whose files are not all there is left out and named, everything else is brought.

Law 1 holds on the way: files first, each verified by its digest, manifests after them, ledgers last. Running
it again goes on; a target that holds something else under the same key is refused.

What the lost region acknowledged and replication had not copied is gone, and the replica cannot say what that
was. Two things narrow it down: until when it knows of anything, and which versions are missing among those it
has, since they are numbered without gaps (``releases.restore.known`` says the same of ledgers).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime

from model_store.contract.errors import IntegrityError, NotFoundError
from model_store.contract.keys import (
    indexed_prefix,
    ledgers_prefix,
    manifest_key,
    number_in,
    pins_prefix,
    plans_prefix,
    removed_prefix,
    versions_prefix,
)
from model_store.contract.names import ByVersion
from model_store.ports import ObjectStore
from model_store.promote import copy_files
from model_store.send import OnProgress
from model_store.tombstones import is_removed
from model_store.versions import read_manifest, written

_AT_ONCE = 16
_NAMED = 100
"""So many missing versions of a model are named."""

_MODELS = "models/"
_TELLING = ("digests", "prepared", "releases")
"""Folders of a model in which nothing stands before it has a version."""


@dataclass(slots=True)
class Brought:
    """What came: versions, other keys, and what could not come, as sentences."""

    versions: list[ByVersion] = field(default_factory=list)
    keys: int = 0
    lost: list[str] = field(default_factory=list)
    known_until: datetime | None = None
    """When the newest manifest that came was written."""


def bring(
    source: ObjectStore, target: ObjectStore, *, say: OnProgress = lambda _step, _done, _total: None
) -> Brought:
    """Copy what ``source`` has of every model into ``target``. Nothing is ever written to ``source``."""
    brought = Brought()
    for model in _named(source):
        _look(source, model, brought)
        # First: a version is never without its tombstone or its signatures.
        for prefix in (removed_prefix(model), pins_prefix(model), f"models/{model}/signatures/"):
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


def _look(source: ObjectStore, model: str, brought: Brought) -> None:
    """Note the newest manifest, and the numbers that are missing below it: two listings."""
    entries = list(source.entries(versions_prefix(model)))
    if not entries:
        if not any(next(source.keys(f"models/{model}/{folder}/"), None) for folder in _TELLING):
            return  # deployed and never published
        brought.lost.append(
            f"no version of `{model}` did arrive in the replica, though other records of it did"
        )
        return
    gone = {number_in(key) for key in source.keys(removed_prefix(model))}
    missing = _missing([number_in(entry.key) for entry in entries], besides=gone)
    brought.lost += [f"`{model}:{number}` did not arrive in the replica" for number in missing]
    newest = max(entry.written_at for entry in entries)
    brought.known_until = max(newest, brought.known_until or newest)


def _named(store: ObjectStore) -> list[str]:
    """Every model that anything is known of, also without a version: one short listing for each."""
    found: list[str] = []
    after = _MODELS
    while (key := next(store.keys(_MODELS, after=after), None)) is not None:
        found.append(key.removeprefix(_MODELS).partition("/")[0])
        # `~` is larger than everything that a key may hold: the next listing begins behind this model.
        after = f"{_MODELS}{found[-1]}/~"
    return found


def _missing(numbers: list[int], besides: Iterable[int] = ()) -> list[int]:
    """The numbers from 1 to the highest that are not there, at most a hundred of them."""
    wanted = set(range(1, max(numbers, default=0) + 1)) - set(numbers) - set(besides)
    return sorted(wanted)[:_NAMED]


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
