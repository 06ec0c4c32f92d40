"""The lease: one at a time changes a function's ``$LATEST``.

``$LATEST`` is the only thing that two releases of one model share, and it is held for the seconds
between setting it and restoring it. The lease is a numbered, write-once claim in the store; whoever
writes claim N holds it until it writes that N ended, or until N expires. A holder that dies is
waited out. Correctness does not rest on clocks: publishing also names the revision and the code it
saw, so a holder that outlived its lease cannot publish somebody else's configuration.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from contextlib import contextmanager

from model_store.contract.errors import AlreadyExistsError
from model_store.contract.keys import lease_end_key, lease_key, lease_prefix
from model_store.numbered import newest
from model_store.ports import ObjectStore
from releases.errors import LeaseHeldError
from releases.ports import Clock
from releases.records import canonical, timestamp

LEASE_SECONDS = 180.0
"""How long a dead holder blocks others, unless the catalog says otherwise; a live one needs seconds."""

POLL_SECONDS = 0.5


@contextmanager
def lease(
    store: ObjectStore,
    clock: Clock,
    model: str,
    *,
    holder: str,
    seconds: float = LEASE_SECONDS,
    patience_s: float = 60.0,
) -> Iterator[None]:
    """Hold the lease of ``model`` for ``seconds`` at most; wait up to ``patience_s`` for another holder.

    Then it is refused with that holder's name.
    """
    number = _acquire(store, clock, model, holder, seconds, clock.now() + patience_s)
    try:
        yield
    finally:
        store.put_once(lease_end_key(model, number), canonical({"at": timestamp(clock.now())}))


def holder(store: ObjectStore, clock: Clock, model: str) -> str | None:
    """Who holds the lease of ``model`` now, if anybody does."""
    return _newest(store, clock, model)[1]


def _acquire(
    store: ObjectStore, clock: Clock, model: str, holder: str, seconds: float, deadline: float
) -> int:
    while True:
        number, held_by = _newest(store, clock, model)
        if held_by is None:
            claim = {"id": uuid.uuid4().hex, "holder": holder, "expires": clock.now() + seconds}
            try:
                store.put_once(lease_key(model, number + 1), canonical(claim))
            except AlreadyExistsError:
                continue
            return number + 1
        if clock.now() >= deadline:
            raise LeaseHeldError(
                f"`{model}` is being prepared by {held_by}",
                hint="Wait until that release or deploy has ended, then run the same command again.",
            )
        clock.sleep(POLL_SECONDS)


def _newest(store: ObjectStore, clock: Clock, model: str) -> tuple[int, str | None]:
    """The newest claim's number, and who holds it if it is still held."""
    last = newest(store, lease_prefix(model))
    if not last.number or lease_end_key(model, last.number) in last.keys:
        return last.number, None
    claim = json.loads(store.get(lease_key(model, last.number)))
    if float(claim["expires"]) <= clock.now():
        return last.number, None
    return last.number, str(claim["holder"])
