"""The LiteRT file of a version: for phones and boards, kept beside the version, named by its lineage.

No function loads it, so it is no file of the artifact: it is in no layer, in no folder of an endpoint, and
not in the version's digest. It stands under its own digest (``model_store.contract.keys.edge_key``), written
once. A crash between file and manifest leaves a file that nobody names.
"""

from __future__ import annotations

from model_store.contract.digest import Digest
from model_store.contract.errors import IntegrityError, NotFoundError
from model_store.contract.keys import edge_key
from model_store.contract.manifest import Manifest
from model_store.ports import ObjectStore

LITERT = "litert"
"""The key of the lineage that holds the file's digest."""


def keep_litert(store: ObjectStore, model: str, data: bytes) -> dict[str, str]:
    """Store ``data`` and return what the lineage says of it. Safe to repeat."""
    digest = Digest.of(data)
    store.put_once(edge_key(model, digest), data)
    return {LITERT: str(digest)}


def load_litert(store: ObjectStore, manifest: Manifest) -> bytes:
    """The LiteRT file that ``manifest`` names, verified.

    Raises ``NotFoundError`` where it names none, and ``IntegrityError`` where the store has lost it or has
    another.
    """
    digest = litert_digest(manifest)
    if digest is None:
        raise NotFoundError(
            f"`{manifest.ref}` was published without a LiteRT file",
            hint="Say `litert = true` in the recipe's `[export]`, and publish with `yard train --publish`.",
        )
    try:
        data = store.get(edge_key(manifest.model, digest))
    except NotFoundError as error:
        raise IntegrityError(f"the store has lost the LiteRT file of `{manifest.ref}`") from error
    digest.must_equal(Digest.of(data), what=f"the LiteRT file of `{manifest.ref}`")
    return data


def litert_digest(manifest: Manifest) -> Digest | None:
    """The digest of the LiteRT file that ``manifest`` names, if it names one."""
    said = manifest.lineage.get(LITERT)
    return Digest(said.removeprefix("sha256:")) if said else None
