"""Bases: the configurations that deploys left, newest last."""

from __future__ import annotations

from model_store.contract.errors import AlreadyExistsError
from model_store.contract.keys import base_key, bases_prefix
from model_store.numbered import newest
from model_store.ports import ObjectStore
from releases.errors import NotDeployedError
from releases.records import Base


def current_base(store: ObjectStore, model: str) -> Base:
    """What the newest deploy of ``model`` left."""
    last = newest(store, bases_prefix(model))
    if not last.number:
        raise NotDeployedError(
            f"`{model}` is not deployed in this stage",
            hint="Declare it in models.toml and run `cdk deploy --all` for this stage.",
        )
    return Base.from_json(store.get(last.keys[-1]))


def base_with_fingerprint(store: ObjectStore, model: str, fingerprint: str) -> Base | None:
    """The newest base that a deploy with this fingerprint left, if any did."""
    for key in reversed(list(store.keys(bases_prefix(model)))):
        base = Base.from_json(store.get(key))
        if base.fingerprint == fingerprint:
            return base
    return None


def record_base(store: ObjectStore, model: str, base: Base) -> Base:
    """Make ``base`` the current one; a no-op if it is already."""
    while True:
        last = newest(store, bases_prefix(model))
        if last.keys and Base.from_json(store.get(last.keys[-1])) == base:
            return base
        try:
            store.put_once(base_key(model, last.number + 1), base.to_json())
        except AlreadyExistsError:
            continue
        return base
