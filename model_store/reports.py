"""The page about a version that was made before it was published: kept beside it, named by its lineage.

It stands under its own digest (``model_store.contract.keys.report_key``), written once. A crash between page
and manifest leaves a page that nobody names.
"""

from __future__ import annotations

from model_store.contract.digest import Digest
from model_store.contract.errors import IntegrityError, NotFoundError
from model_store.contract.keys import report_key
from model_store.contract.manifest import Manifest
from model_store.ports import ObjectStore

REPORT = "report"
"""The key of the lineage that holds the page's digest."""


def keep_report(store: ObjectStore, model: str, page: bytes) -> dict[str, str]:
    """Store ``page`` and return what the lineage says of it. Safe to repeat."""
    digest = Digest.of(page)
    store.put_once(report_key(model, digest), page)
    return {REPORT: str(digest)}


def load_report(store: ObjectStore, manifest: Manifest) -> bytes:
    """The page that ``manifest`` names, verified.

    Raises ``NotFoundError`` where it names none, and ``IntegrityError`` where the store has lost it or has
    another.
    """
    digest = report_digest(manifest)
    if digest is None:
        raise NotFoundError(
            f"`{manifest.ref}` was published without a report",
            hint="Make and publish it with `yard train --publish`, or look at its metrics with `yard show`.",
        )
    try:
        page = store.get(report_key(manifest.model, digest))
    except NotFoundError as error:
        raise IntegrityError(f"the store has lost the report of `{manifest.ref}`") from error
    digest.must_equal(Digest.of(page), what=f"the report of `{manifest.ref}`")
    return page


def report_digest(manifest: Manifest) -> Digest | None:
    """The digest of the page that ``manifest`` names, if it names one."""
    said = manifest.lineage.get(REPORT)
    return Digest(said.removeprefix("sha256:")) if said else None
