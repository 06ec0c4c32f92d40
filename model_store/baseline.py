"""Read the baseline that a version was published with (``model_store.describe`` made it)."""

from __future__ import annotations

from model_store.contract.baseline import Baseline
from model_store.contract.digest import Digest
from model_store.contract.errors import IntegrityError, NotFoundError
from model_store.contract.keys import baseline_key
from model_store.contract.manifest import Manifest
from model_store.ports import ObjectStore


def load_baseline(store: ObjectStore, manifest: Manifest) -> Baseline:
    """The baseline that ``manifest`` names, verified; raises as ``baseline_bytes`` does."""
    return Baseline.from_json(baseline_bytes(store, manifest))


def baseline_bytes(store: ObjectStore, manifest: Manifest) -> bytes:
    """The same as it is stored.

    Raises ``NotFoundError`` where the manifest names none, and ``IntegrityError`` where the store has lost
    it or has another.
    """
    if manifest.baseline is None:
        raise NotFoundError(
            f"`{manifest.ref}` was published without a baseline",
            hint=f"Publish it with one: `yard publish {manifest.model} PATH --baseline FILE --new`.",
        )
    try:
        data = store.get(baseline_key(manifest.model, manifest.baseline))
    except NotFoundError as error:
        raise IntegrityError(f"the store has lost the baseline of `{manifest.ref}`") from error
    manifest.baseline.must_equal(Digest.of(data), what=f"the baseline of `{manifest.ref}`")
    return data
