"""Which version has these bytes already, and which number is free: asked in a handful of calls.

Two families of write-once keys answer it, however many versions there are:

* ``models/<m>/digests/<sha256>/000000007.json``: version 7 has this digest, it is said;
* ``models/<m>/indexed/999999992.json``: every version up to 7 stands in the first family. The number is
  counted down from the highest there is, so that the first key of a listing names the newest.

**They are hints.** The manifest alone makes a version; whatever a hint says is looked up in the manifest
it names, and one that names nothing, something else or a version that was taken away is passed over.

**Why none is missing.** Both are written after the manifest, the second after the first. A process that
dies in between leaves a version above the newest ``indexed``: everybody who looks reads the manifests up
there, one by one, and whoever publishes next writes down what is missing before it says "up to here".
Numbers are claimed upwards without gaps, so no version appears later below one that was claimed.
"""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from model_store.contract.digest import Digest
from model_store.contract.errors import IntegrityError, NotFoundError
from model_store.contract.keys import (
    digest_key,
    digest_prefix,
    indexed_key,
    indexed_prefix,
    number_in,
    number_indexed,
)
from model_store.contract.manifest import Manifest
from model_store.contract.names import ByVersion
from model_store.ports import ObjectStore
from model_store.tombstones import is_removed
from model_store.versions import read_manifest, written

_AT_ONCE = 32
_HINT = b"{}"


@dataclass(slots=True)
class Known:
    """What was found: the newest version with the digest, and the first number that was free.

    ``remarks`` name manifests that could not be read, and so not be compared.
    """

    free: int
    indexed: int
    same: Manifest | None = None
    remarks: list[str] = field(default_factory=list)
    read: dict[int, Manifest | None] = field(default_factory=dict)


def look_up(store: ObjectStore, model: str, digest: Digest | None) -> Known:
    """Look for the newest version with ``digest``, if one is given, and for the first free number.

    Three listings and, where there is such a version, two reads; more only for what a publisher left
    unsaid that died or is still at it. Reads only.
    """
    newest = next(store.keys(indexed_prefix(model)), None)
    indexed = number_indexed(newest) if newest else 0
    above = written(store, model, after=indexed)
    known = Known(free=max((indexed, *above)) + 1, indexed=indexed)
    if digest is None:
        return known
    _read(store, model, above, known)
    hinted = {number_in(key) for key in store.keys(digest_prefix(model, digest))}
    for number in sorted(hinted | set(above), reverse=True):
        if number not in known.read:
            _read(store, model, [number], known)
        found = known.read[number]
        if found and found.digest == digest and not is_removed(store, found.ref):
            known.same = found
            break
    return known


def write_down(store: ObjectStore, manifest: Manifest, known: Known) -> None:
    """Say which digest the version has that was just made, and what others left unsaid below it.

    Safe to repeat, and to leave out: the next publisher makes up for it.
    """
    model, newest = manifest.model, manifest.version
    known.read[newest] = manifest
    numbers = range(known.indexed + 1, newest + 1)
    _read(store, model, [number for number in numbers if number not in known.read], known)
    found = [known.read[number] for number in numbers]
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        list(pool.map(lambda one: _hint(store, one), [one for one in found if one]))
    store.try_put_once(indexed_key(model, newest), _HINT)


def _hint(store: ObjectStore, manifest: Manifest) -> None:
    store.try_put_once(digest_key(manifest.model, manifest.digest, manifest.version), _HINT)


def _read(store: ObjectStore, model: str, numbers: Iterable[int], known: Known) -> None:
    """Read manifests, several at once; one that cannot be read stops nobody and is named."""

    def read(number: int) -> tuple[int, Manifest | None, bool]:
        try:
            return number, read_manifest(store, ByVersion(model, number)), True
        except NotFoundError:
            return number, None, True
        except IntegrityError:
            return number, None, False

    wanted = sorted(numbers, reverse=True)
    if not wanted:
        return
    with ThreadPoolExecutor(min(_AT_ONCE, len(wanted))) as pool:
        for number, manifest, readable in pool.map(read, wanted):
            known.read[number] = manifest
            if not readable:
                known.remarks.append(f"the manifest of `{ByVersion(model, number)}` cannot be read")
