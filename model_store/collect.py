"""Collect garbage: look, say what would go and why, and only then take it (law 10).

What goes, and when:

* **blobs** that no version names, once they are older than the grace period;
* **unfinished uploads** and archives on their way into a Lambda layer, after the same time;
* **leftovers** of a removal that was interrupted;
* **folders** of versions that are gone, or go now, as endpoints mounted them (``model_store.lay_out``), after
  the same time and if nothing needs the version: an endpoint that is still there starts its machines from it;
* **versions**, only if asked, that are older than asked for and that nothing needs: no alias, none of its
  last releases and no step of a rollback, no running release, no pin, no retained version that was made
  from it. The newest version of a model stays in any case. A tombstone stays of each that goes.

Lambda versions and layers are not looked at: a version that travels as a layer keeps its own copy of the
model. One that is read from S3 at start has none, so the release room names every published Lambda version of
that kind among its needs.

**Why it cannot take what somebody is about to need.** Before anything is deleted the collection claims a
sweep that names everything it wants, and then makes its plan once more from what the store says *now*;
only what is in both plans goes. Whoever begins to need something writes that down first and looks for a
sweep afterwards (``model_store.sweeps``). Take a publish that finds its blob stored already. Either its
manifest is written before the second plan is made, and that plan keeps the blob; or it is written after,
and so after the claim: then the publish sees the sweep, waits for its end, and puts the blob back if it
is gone; if the sweep has ended already it sees what is missing. The grace period (a week; a publish takes
hours at most) keeps what a publish has sent and not yet named out of all this.

**After a crash** at any point nothing is lost that was needed: a version without a tombstone is whole, one
with a tombstone is gone, and what it leaves lying is found by the next collection. Running it again is safe.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime

from model_store.collector import Collector, Upload
from model_store.contract.digest import Digest
from model_store.contract.errors import IntegrityError, InvalidNameError, NotFoundError
from model_store.contract.keys import BLOBS_PREFIX, all_served_prefix, blob_key, manifest_key
from model_store.contract.manifest import Manifest
from model_store.contract.names import ByVersion, parse_version_ref
from model_store.lineage import PARENT
from model_store.pins import pins
from model_store.ports import Entry, ObjectStore
from model_store.sweeps import Now, Sweep, claim, end
from model_store.tombstones import Tombstone, bury, removed
from model_store.versions import models, read_manifest, written

DAY_SECONDS = 86_400.0
GRACE_SECONDS = 7 * DAY_SECONDS
"""How old a blob or an upload must be: many times longer than the longest publish."""

MIN_GRACE_SECONDS = DAY_SECONDS
"""The shortest grace period that is accepted; below it a slow publish could lose what it has sent."""

_LAYERS = "layers/"
_AT_ONCE = 8

Needs = Callable[[], Mapping[ByVersion, str]]
"""Asks the rooms that use versions which ones they need, each with one reason as a sentence."""


@dataclass(frozen=True, slots=True)
class Rules:
    """How old things must be. Without ``versions_older_s`` no version is looked at."""

    grace_s: float = GRACE_SECONDS
    versions_older_s: float | None = None

    def __post_init__(self) -> None:
        if self.grace_s < MIN_GRACE_SECONDS:
            raise InvalidNameError(
                f"a grace period of {self.grace_s / 3600:g} hours is too short",
                hint="Give at least one day: a publish must have ended before its bytes can be garbage.",
            )
        if self.versions_older_s is not None and self.versions_older_s < self.grace_s:
            raise InvalidNameError(
                "a version may not be taken away sooner than a blob that nobody names",
                hint="Give versions at least the grace period.",
            )


@dataclass(frozen=True, slots=True)
class Item:
    """One thing that would go: what it is, its key, how many bytes it frees, and why it may go."""

    what: str
    name: str
    size: int
    why: str


@dataclass(frozen=True, slots=True)
class Plan:
    """What would go, and what stays of that which was asked about. ``remarks`` say what was left out."""

    items: tuple[Item, ...]
    kept: Mapping[ByVersion, str]
    remarks: tuple[str, ...] = ()
    versions: Mapping[ByVersion, Manifest] = field(default_factory=dict)
    uploads: Mapping[str, Upload] = field(default_factory=dict)

    @property
    def size(self) -> int:
        return sum(item.size for item in self.items)

    def digests(self) -> list[Digest]:
        """The blobs that would go."""
        return [_digest_in(item.name) for item in self.items if item.what == "blob"]


@dataclass(frozen=True, slots=True)
class Collected:
    """What went, and what was planned and stayed because somebody began to need it or time was up."""

    items: tuple[Item, ...]
    spared: tuple[Item, ...]

    @property
    def size(self) -> int:
        return sum(item.size for item in self.items)


@dataclass(slots=True)
class _Seen:
    """Everything of the store that a plan rests on."""

    manifests: dict[ByVersion, Manifest]
    leftovers: list[ByVersion]
    unreadable: list[ByVersion]
    pinned: dict[ByVersion, str]


def plan(store: ObjectStore, collector: Collector, needs: Needs, *, rules: Rules, now: Now) -> Plan:
    """Say what would go, why, and how much it frees. Reads only; safe at any time.

    The cost is a listing of the bucket and one read per version.
    """
    seen = _look(store)
    moment = now()
    candidates, kept = _versions_to_go(seen, needs, rules, moment)
    remarks = []
    items = [*_leftover_items(seen)]
    if seen.unreadable:
        # Nobody knows which blobs an unreadable manifest names, and what it was made from.
        named = ", ".join(f"`{ref}`" for ref in seen.unreadable[:5])
        remarks.append(f"no blob and no version is taken: what {named} needs cannot be read")
        candidates = {}
    else:
        items.extend(_version_items(candidates, rules))
        stays = {
            file.digest
            for ref, manifest in seen.manifests.items()
            if ref not in candidates
            for file in manifest.files
        }
        items.extend(_blob_items(store, seen, stays, rules, moment))
    items.extend(_folder_items(store, seen, candidates, needs, rules, moment))
    items.extend(_layer_items(store, rules, moment))
    uploads = {
        upload.id: upload for upload in collector.uploads() if _old(upload.begun_at, rules.grace_s, moment)
    }
    items.extend(_upload_items(uploads.values(), moment))
    return Plan(tuple(items), kept, tuple(remarks), candidates, uploads)


def collect(
    store: ObjectStore,
    collector: Collector,
    needs: Needs,
    *,
    rules: Rules,
    now: Now,
    by: str,
    agreed: Plan | None = None,
    on_progress: Callable[[str], None] = lambda _: None,
) -> Collected:
    """Take what is garbage, nothing that is not in ``agreed`` if that is given, and say what went.

    Raises ``CollectionRunningError`` while another collection runs. A crash leaves what was not reached;
    run it again.
    """
    on_progress("looking for garbage")
    first = agreed or plan(store, collector, needs, rules=rules, now=now)
    if not first.items:
        return Collected((), ())
    sweep = claim(store, now, by=by, versions=first.versions, blobs=first.digests())
    try:
        on_progress("looking once more")
        second = plan(store, collector, needs, rules=rules, now=now)
        wanted = {(item.what, item.name) for item in first.items}
        todo = [item for item in second.items if (item.what, item.name) in wanted]
        on_progress(f"taking {len(todo)} things")
        taken = _Taking(store, collector, second, sweep, now, by).all(todo)
    finally:
        end(store, sweep)
    went = {(item.what, item.name) for item in taken}
    return Collected(tuple(taken), tuple(item for item in first.items if (item.what, item.name) not in went))


class _Taking:
    """One collection that has claimed its sweep and takes what both plans name."""

    def __init__(
        self, store: ObjectStore, collector: Collector, agreed: Plan, sweep: Sweep, now: Now, by: str
    ) -> None:
        self._store, self._collector, self._plan = store, collector, agreed
        self._sweep, self._now, self._by = sweep, now, by

    def all(self, items: list[Item]) -> list[Item]:
        """Take versions before blobs: a manifest never names a blob that is gone."""
        first = [item for item in items if item.what in ("leftover", "version")]
        rest = [item for item in items if item.what not in ("leftover", "version")]
        taken = [item for item in first if self._take(item)]
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            return taken + [item for item, went in zip(rest, pool.map(self._take, rest), strict=True) if went]

    def _take(self, item: Item) -> bool:
        # Asked before every single one: a collector that was paused for hours wakes up in here.
        if self._now() > self._sweep.deletes_until:
            return False
        if item.what == "upload":
            self._collector.abort(self._plan.uploads[item.name])
        elif item.what == "version":
            self._take_version(parse_version_ref(item.name), item.why)
        elif item.what == "leftover":
            ref = parse_version_ref(item.name)
            self._collector.delete(manifest_key(ref.model, ref.version))
        else:
            self._collector.delete(item.name)
        return True

    def _take_version(self, ref: ByVersion, why: str) -> None:
        manifest = self._plan.versions[ref]
        bury(
            self._store,
            Tombstone(
                model=ref.model,
                version=ref.version,
                digest=str(manifest.digest),
                size=manifest.size,
                created_at=manifest.created_at,
                removed_at=datetime.fromtimestamp(self._now(), UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
                removed_by=self._by,
                why=why,
            ),
        )
        self._collector.delete(manifest_key(ref.model, ref.version))


# Looking


def _look(store: ObjectStore) -> _Seen:
    seen = _Seen({}, [], [], {})
    for model in models(store):
        gone = set(removed(store, model))
        refs = [ByVersion(model, number) for number in written(store, model)]
        seen.leftovers.extend(ref for ref in refs if ref.version in gone)
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            kept = [ref for ref in refs if ref.version not in gone]
            for ref, manifest in zip(kept, pool.map(lambda ref: _manifest(store, ref), kept), strict=True):
                if manifest is None:
                    seen.unreadable.append(ref)
                else:
                    seen.manifests[ref] = manifest
        for found in pins(store, model):
            seen.pinned[found.ref] = f"it is pinned by {found.by}: {found.reason}"
    return seen


def _manifest(store: ObjectStore, ref: ByVersion) -> Manifest | None:
    try:
        return read_manifest(store, ref)
    except (IntegrityError, NotFoundError):
        return None


# Deciding


def _versions_to_go(
    seen: _Seen, needs: Needs, rules: Rules, moment: float
) -> tuple[dict[ByVersion, Manifest], dict[ByVersion, str]]:
    """Which versions may go, and of those that are old enough the others, each with what keeps it."""
    if rules.versions_older_s is None:
        return {}, {}
    old = {
        ref: manifest
        for ref, manifest in seen.manifests.items()
        if _old(datetime.fromisoformat(manifest.created_at), rules.versions_older_s, moment)
    }
    newest: dict[str, int] = {}
    for ref in seen.manifests:
        newest[ref.model] = max(newest.get(ref.model, 0), ref.version)
    reasons = {
        **{ByVersion(model, number): f"it is the newest of `{model}`" for model, number in newest.items()},
        **seen.pinned,
        **(needs() if old else {}),
    }
    going = {ref: manifest for ref, manifest in old.items() if ref not in reasons}
    kept = {ref: reasons[ref] for ref in old if ref in reasons}
    while made_from := _parents_of_what_stays(seen.manifests, going):
        for parent, child in made_from.items():
            kept[parent] = f"`{child}` was made from it"
            del going[parent]
    return going, kept


def _parents_of_what_stays(
    manifests: Mapping[ByVersion, Manifest], going: Mapping[ByVersion, Manifest]
) -> dict[ByVersion, ByVersion]:
    found: dict[ByVersion, ByVersion] = {}
    for ref, manifest in manifests.items():
        if ref not in going and PARENT in manifest.lineage:
            try:
                parent = parse_version_ref(manifest.lineage[PARENT])
            except InvalidNameError:
                continue
            if parent in going:
                found[parent] = ref
    return found


def _old(since: datetime, seconds: float, moment: float) -> bool:
    return moment - since.timestamp() >= seconds


def _days(since: datetime, moment: float) -> str:
    return f"{(moment - since.timestamp()) / DAY_SECONDS:.0f} days old"


# What would go, as items


def _leftover_items(seen: _Seen) -> Iterator[Item]:
    for ref in seen.leftovers:
        yield Item("leftover", str(ref), 0, "it was taken away before and its manifest still lies there")


def _version_items(candidates: Mapping[ByVersion, Manifest], rules: Rules) -> Iterator[Item]:
    days = (rules.versions_older_s or 0) / DAY_SECONDS
    for ref, manifest in candidates.items():
        why = f"older than {days:g} days (of {manifest.created_at}), and nothing needs it"
        yield Item("version", str(ref), 0, why)


def _blob_items(
    store: ObjectStore, seen: _Seen, stays: set[Digest], rules: Rules, moment: float
) -> Iterator[Item]:
    named = {file.digest for manifest in seen.manifests.values() for file in manifest.files}
    for entry in store.entries(BLOBS_PREFIX):
        digest = _digest_of(entry)
        if digest is None or digest in stays or not _old(entry.written_at, rules.grace_s, moment):
            continue
        why = "only versions that go name it" if digest in named else "no version names it"
        yield Item("blob", entry.key, entry.size, f"{why}; {_days(entry.written_at, moment)}")


def _folder_items(
    store: ObjectStore,
    seen: _Seen,
    candidates: Mapping[ByVersion, Manifest],
    needs: Needs,
    rules: Rules,
    moment: float,
) -> list[Item]:
    """The files of folders whose version is gone. One that stays may be provisioned again."""
    stays = (seen.manifests.keys() - candidates.keys()) | set(seen.unreadable)
    found: list[tuple[ByVersion, Entry]] = []
    for model in models(store):
        prefix = all_served_prefix(model)
        for entry in store.entries(prefix):
            number = entry.key.removeprefix(prefix).partition("/")[0]
            ref = ByVersion(model, int(number)) if number.isdecimal() else None
            if ref and ref not in stays and _old(entry.written_at, rules.grace_s, moment):
                found.append((ref, entry))
    needed = needs() if found else {}
    return [
        Item("folder", entry.key, entry.size, f"`{ref}` is gone; {_days(entry.written_at, moment)}")
        for ref, entry in found
        if ref not in needed
    ]


def _layer_items(store: ObjectStore, rules: Rules, moment: float) -> Iterator[Item]:
    for entry in store.entries(_LAYERS):
        if _old(entry.written_at, rules.grace_s, moment):
            why = f"its Lambda layer was made long ago; {_days(entry.written_at, moment)}"
            yield Item("layer archive", entry.key, entry.size, why)


def _upload_items(uploads: Iterable[Upload], moment: float) -> Iterator[Item]:
    for upload in uploads:
        where = f" of `{upload.key}`" if upload.key else ""
        why = f"an upload{where} that broke off; {_days(upload.begun_at, moment)}"
        yield Item("upload", upload.id, upload.size, why)


def _digest_of(entry: Entry) -> Digest | None:
    """The digest that a blob's key names; ``None`` for a key that is none of ours, which is left alone."""
    try:
        digest = _digest_in(entry.key)
    except InvalidNameError:
        return None
    return digest if blob_key(digest) == entry.key else None


def _digest_in(key: str) -> Digest:
    return Digest(key.rsplit("/", 1)[-1])
