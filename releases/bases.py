"""Bases: the configurations that deploys left, newest last.

Where the catalog has a stage rebased in waves, a deploy records a base that *waits*: it is what ``$LATEST``
is, so what is released from now on stands on it, but nothing that serves was moved to it. It waits until the
wave of its model has held and accepts it (``releases.waving``).
"""

from __future__ import annotations

from model_store.contract.errors import AlreadyExistsError
from model_store.contract.keys import base_accepted_key, base_key, bases_prefix, number_in
from model_store.numbered import newest
from model_store.ports import ObjectStore
from releases.errors import NotDeployedError
from releases.records import Base


def current_base(store: ObjectStore, model: str) -> Base:
    """What the newest deploy of ``model`` left."""
    return _newest(store, model)[1]


def standing_base(store: ObjectStore, model: str) -> Base:
    """The base that what serves was moved to: the newest one that waits for no wave.

    A way back goes to what was prepared on it. Without a rebase in waves it is the current one.
    """
    number, current, accepted = _newest(store, model)
    if not current.waits or accepted:
        return current
    keys = list(store.keys(bases_prefix(model)))
    settled = {number_in(key) for key in keys if key.endswith(".accepted")}
    for key in reversed(keys):
        if key.endswith(".json") and number_in(key) < number:
            base = Base.from_json(store.get(key))
            if not base.waits or number_in(key) in settled:
                return base
    return current


def waiting_base(store: ObjectStore, model: str) -> Base | None:
    """The current base if it still waits for its model's wave."""
    _, current, accepted = _newest(store, model)
    return current if current.waits and not accepted else None


def accept_base(store: ObjectStore, model: str, base: Base) -> None:
    """Let ``base`` wait no longer, if it is still the current one. Safe to repeat."""
    number, current, _ = _newest(store, model)
    if current.hash == base.hash:
        store.try_put_once(base_accepted_key(model, number), b"{}")


def base_with_fingerprint(store: ObjectStore, model: str, fingerprint: str) -> Base | None:
    """The newest base that a deploy with this fingerprint left, if any did."""
    for key in reversed(list(store.keys(bases_prefix(model)))):
        if not key.endswith(".json"):
            continue
        base = Base.from_json(store.get(key))
        if base.fingerprint == fingerprint:
            return base
    return None


def record_base(store: ObjectStore, model: str, base: Base) -> Base:
    """Make ``base`` the current one; a no-op if it is already."""
    while True:
        last = newest(store, bases_prefix(model))
        if last.keys and Base.from_json(store.get(_record(last.keys))) == base:
            return base
        try:
            store.put_once(base_key(model, last.number + 1), base.to_json())
        except AlreadyExistsError:
            continue
        return base


def _newest(store: ObjectStore, model: str) -> tuple[int, Base, bool]:
    """The newest base, its number, and whether a wave accepted it; from one look."""
    last = newest(store, bases_prefix(model))
    if not last.number:
        raise NotDeployedError(
            f"`{model}` is not deployed in this stage",
            hint="Declare it in models.toml and run `cdk deploy --all` for this stage.",
        )
    accepted = any(key.endswith(".accepted") for key in last.keys)
    return last.number, Base.from_json(store.get(_record(last.keys))), accepted


def _record(keys: tuple[str, ...]) -> str:
    return next(key for key in keys if key.endswith(".json"))
