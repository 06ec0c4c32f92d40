"""Sweeps: how a collection tells everybody what it is about to take, so that nobody starts to need it.

Two things race with a collection: a publish that finds its bytes stored already, and a release or a pin
of an old version. In each of them both sides first write down what they are up to and then look at what
the other has written. The store is strongly consistent, so at least one of the two sees the other:

* the collection **claims** a sweep that names every version and blob it wants, then looks once more at
  manifests, ledgers, plans and pins, and takes only what nobody needs even then;
* whoever begins to need something writes its manifest, plan or pin first and then looks for a sweep that
  names it. A publish waits for that sweep to end and puts back what it took; a release is refused.

A sweep expires, so a collector that died blocks nobody for longer. One that was only paused must not
wake up and delete: it deletes during the first half of its time, and a request that was signed before the
pause is refused by AWS 15 minutes later (Signature Version 4). Half an hour separates the two, which is
also what clocks may differ by.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass

from model_store.contract.digest import Digest
from model_store.contract.errors import CollectionRunningError
from model_store.contract.keys import SWEEPS_PREFIX, number_in, sweep_end_key, sweep_key
from model_store.contract.names import ByVersion
from model_store.ports import ObjectStore

SWEEP_SECONDS = 3600.0
"""How long a sweep holds; a dead collector keeps others waiting for as long."""

DELETING_SECONDS = SWEEP_SECONDS / 2
"""How long after its claim a collector deletes; what is left is for the next one."""

POLL_SECONDS = 1.0

Now = Callable[[], float]
Sleep = Callable[[float], None]


@dataclass(frozen=True, slots=True)
class Sweep:
    """What one collection wants to take, and until when others must reckon with it."""

    number: int
    by: str
    started: float
    expires: float
    versions: frozenset[str]
    blobs: frozenset[str]

    @property
    def deletes_until(self) -> float:
        return self.started + DELETING_SECONDS

    def to_json(self) -> bytes:
        body = {
            "by": self.by,
            "started": self.started,
            "expires": self.expires,
            "versions": sorted(self.versions),
            "blobs": sorted(self.blobs),
        }
        return json.dumps(body, sort_keys=True, separators=(",", ":")).encode()

    @classmethod
    def from_json(cls, number: int, data: bytes) -> Sweep:
        body = json.loads(data)
        return cls(
            number,
            str(body["by"]),
            float(body["started"]),
            float(body["expires"]),
            frozenset(body["versions"]),
            frozenset(body["blobs"]),
        )


def claim(
    store: ObjectStore,
    now: Now,
    *,
    by: str,
    versions: Collection[ByVersion],
    blobs: Collection[Digest],
) -> Sweep:
    """Announce a sweep, or raise ``CollectionRunningError``: one at a time may delete."""
    number, other = _newest(store, now)
    if other is not None:
        raise _running(other)
    started = now()
    sweep = Sweep(
        number + 1,
        by,
        started,
        started + SWEEP_SECONDS,
        frozenset(str(ref) for ref in versions),
        frozenset(digest.hex for digest in blobs),
    )
    if not store.try_put_once(sweep_key(sweep.number), sweep.to_json()):
        raise _running(Sweep.from_json(sweep.number, store.get(sweep_key(sweep.number))))
    return sweep


def end(store: ObjectStore, sweep: Sweep) -> None:
    """Say that nothing more of this sweep will be taken. Safe to repeat."""
    store.put_once(sweep_end_key(sweep.number), b"{}")


def running(store: ObjectStore, now: Now) -> Sweep | None:
    """The sweep under way, if there is one. A listing, and a read where one is."""
    return _newest(store, now)[1]


def must_not_be_going(store: ObjectStore, now: Now, ref: ByVersion) -> None:
    """Refuse to begin to need ``ref`` while a sweep names it."""
    sweep = running(store, now)
    if sweep is not None and str(ref) in sweep.versions:
        raise _running(sweep, what=f"`{ref}` may be taken away by it")


def wait_out(store: ObjectStore, digests: Collection[Digest], *, now: Now, sleep: Sleep = time.sleep) -> None:
    """Return once no sweep is under way that names one of ``digests``."""
    wanted = {digest.hex for digest in digests}
    while (sweep := running(store, now)) is not None and not wanted.isdisjoint(sweep.blobs):
        sleep(POLL_SECONDS)


def _newest(store: ObjectStore, now: Now) -> tuple[int, Sweep | None]:
    keys = list(store.keys(SWEEPS_PREFIX))
    claims = [number_in(key) for key in keys if key.endswith(".json")]
    if not claims:
        return 0, None
    number = max(claims)
    if sweep_end_key(number) in keys:
        return number, None
    sweep = Sweep.from_json(number, store.get(sweep_key(number)))
    return number, sweep if sweep.expires > now() else None


def _running(sweep: Sweep, what: str = "only one may run at a time") -> CollectionRunningError:
    return CollectionRunningError(
        f"a collection by {sweep.by} is under way, and {what}",
        hint="Wait until it has ended (an hour at most, if its machine died), then run this again.",
    )
