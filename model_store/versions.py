"""Which models and versions there are, and what a version is."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from itertools import takewhile

from model_store.contract.errors import IntegrityError, NotFoundError
from model_store.contract.keys import manifest_key, number_in, tombstone_key, versions_prefix
from model_store.contract.manifest import Manifest
from model_store.contract.names import ByVersion, check_name
from model_store.numbered import newest
from model_store.ports import Entry, ObjectStore
from model_store.tombstones import Tombstone, is_removed, removed

_MODELS = "models/"
_AT_ONCE = 8
_WINDOW = 1_000
"""So many keys one listing shows."""


def models(store: ObjectStore) -> list[str]:
    """Name every model that has a version, in order. Two short listings per model."""
    found: list[str] = []
    after = _MODELS
    while (key := next(store.keys(_MODELS, after=after), None)) is not None:
        name = key.removeprefix(_MODELS).partition("/")[0]
        if next(store.keys(versions_prefix(name)), None) is not None:
            found.append(name)
        # `~` is larger than everything that a key may hold: the next listing begins behind this model.
        after = f"{_MODELS}{name}/~"
    return sorted(found)


def versions(store: ObjectStore, model: str) -> list[int]:
    """Number every version of ``model``, oldest first; empty when nothing was ever published.

    Reads no manifest: one call per thousand versions, and one more for those that were taken away.
    """
    numbers = written(store, model)
    # After the manifests: a version that is taken away meanwhile is then no version.
    gone = set(removed(store, model)) if numbers else set()
    return [number for number in numbers if number not in gone]


@dataclass(frozen=True, slots=True)
class Listed:
    """A version as a listing shows it, without its manifest being read."""

    ref: ByVersion
    published_at: datetime


def listed(store: ObjectStore, model: str) -> list[Listed]:
    """List every version of ``model`` with the time it was published, oldest first, as ``versions`` does.

    The time is the store's own clock when the manifest was written, not the publisher's.
    """
    check_name(model)
    entries = [entry for entry in store.entries(versions_prefix(model)) if _is_manifest(entry.key, model)]
    gone = set(removed(store, model)) if entries else set()
    found = [Listed(ByVersion(model, number_in(entry.key)), entry.written_at) for entry in entries]
    return [version for version in found if version.ref.version not in gone]


def recent(store: ObjectStore, model: str, count: int, *, before: int | None = None) -> list[Listed]:
    """List the newest ``count`` versions of ``model`` below ``before``, newest first, as ``listed`` does.

    A few listings find the newest, and one shows a thousand: those before it are not looked at.
    """
    prefix = versions_prefix(check_name(model))
    high = before if before is not None else newest(store, prefix).number + 1
    gone = set(removed(store, model))
    found: list[Listed] = []
    while len(found) < count and high > 1:
        low = max(high - _WINDOW, 1)
        entries = store.entries(prefix, manifest_key(model, low - 1))
        within = takewhile(partial(_comes_before, manifest_key(model, high)), entries)
        here = [
            Listed(ByVersion(model, number_in(entry.key)), entry.written_at)
            for entry in within
            if _is_manifest(entry.key, model)
        ]
        found += [one for one in reversed(here) if one.ref.version not in gone]
        high = low
    return found[:count]


def _comes_before(end: str, entry: Entry) -> bool:
    return entry.key < end


def written(store: ObjectStore, model: str, *, after: int = 0) -> list[int]:
    """Number every manifest of ``model`` above ``after``, also one that a collection left half way."""
    keys = store.keys(versions_prefix(check_name(model)), manifest_key(model, after) if after else None)
    return [number_in(key) for key in keys if _is_manifest(key, model)]


def latest(store: ObjectStore, model: str) -> int:
    """Return the newest version of ``model``, or raise ``NotFoundError`` and say which models there are."""
    numbers = versions(store, model)
    if not numbers:
        raise _unknown_model(store, model)
    return numbers[-1]


def load_manifest(store: ObjectStore, ref: ByVersion) -> Manifest:
    """Read what version ``ref`` is.

    Raises ``NotFoundError`` with what there is instead, and ``IntegrityError`` when the manifest
    contradicts itself or speaks of another version.
    """
    manifest = read_manifest(store, ref)
    if is_removed(store, ref):
        raise _unknown_version(store, ref)
    return manifest


def read_manifest(store: ObjectStore, ref: ByVersion) -> Manifest:
    """Read the manifest of ``ref`` as ``load_manifest`` does, for who knows that it was not removed."""
    check_name(ref.model)
    try:
        data = store.get(manifest_key(ref.model, ref.version))
    except NotFoundError:
        raise _unknown_version(store, ref) from None
    manifest = Manifest.from_json(data)
    if manifest.ref != ref:
        raise IntegrityError(f"the manifest stored as `{ref}` is that of `{manifest.ref}`")
    return manifest


def load_manifests(store: ObjectStore, refs: Iterable[ByVersion]) -> list[Manifest]:
    """Read the manifests of listed versions at once, in the order asked; the first error ends it."""
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        return list(pool.map(lambda ref: read_manifest(store, ref), refs))


def _is_manifest(key: str, model: str) -> bool:
    try:
        return key == manifest_key(model, number_in(key))
    except ValueError:
        return False


def _unknown_version(store: ObjectStore, ref: ByVersion) -> NotFoundError:
    numbers = versions(store, ref.model)
    if is_removed(store, ref):
        stone = Tombstone.from_json(store.get(tombstone_key(ref.model, ref.version)))
        return NotFoundError(
            f"`{ref}` was taken away by {stone.removed_by} at {stone.removed_at}: {stone.why}",
            hint=f"{_listed(ref.model, numbers)}." if numbers else "Publish the model again.",
        )
    if not numbers:
        return _unknown_model(store, ref.model)
    return NotFoundError(f"`{ref}` does not exist", hint=f"{_listed(ref.model, numbers)}.")


def _listed(model: str, numbers: list[int]) -> str:
    if len(numbers) == 1:
        return f"Use `{model}:{numbers[0]}`, the only version there is"
    if numbers == list(range(numbers[0], numbers[-1] + 1)):
        return f"Use one of `{model}:{numbers[0]}` to `{model}:{numbers[-1]}`"
    newest = ", ".join(f"`{model}:{number}`" for number in numbers[-5:])
    return f"Use one that exists; the newest are {newest}"


def _unknown_model(store: ObjectStore, model: str) -> NotFoundError:
    # Only for the message, so only here: difflib costs every cold start that never needs it.
    from difflib import get_close_matches

    known = models(store)
    close = get_close_matches(model, known, n=1)
    if close:
        hint = f"Did you mean `{close[0]}`?"
    elif known:
        hint = f"Use one that exists: {', '.join(f'`{name}`' for name in known[:8])}."
    else:
        hint = f"Publish it first: `yard publish {model} PATH`."
    return NotFoundError(f"no version of `{model}` was ever published", hint=hint)
