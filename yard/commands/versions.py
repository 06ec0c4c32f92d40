"""``yard versions``: what is stored of a model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from yard import options, output

if TYPE_CHECKING:
    from model_store.contract.manifest import Manifest
    from model_store.ports import ObjectStore
    from model_store.versions import Listed

PAGE = 20
"""Versions shown at once. Their manifests are read; of the others, however many, only the listing."""


def versions(
    name: options.ModelName,
    limit: Annotated[int, typer.Option("--limit", min=1, help="How many versions to show.")] = PAGE,
    before: Annotated[
        int | None, typer.Option("--before", metavar="N", help="Show versions older than version N.")
    ] = None,
    everything: Annotated[
        bool, typer.Option("--all", help="Show every version: its number and when it was published.")
    ] = False,
    long: Annotated[bool, typer.Option("--long", help="With --all: read every manifest too.")] = False,
    stage: options.Stage = "local",
    as_json: options.Json = False,
) -> None:
    """List the published versions of a model, newest first.

    Example: yard versions digits
    """
    from model_store import versions as room
    from model_store.contract.names import ByVersion, check_name
    from yard import deployment

    check_name(name)
    store = deployment.find(stage).store()
    older = _older(store, name, limit=None if everything else limit, before=before)
    if not older and not room.versions(store, name):
        room.load_manifest(store, ByVersion(name, 1))  # says what there is instead
    page = older if everything else older[:limit]
    manifests = _manifests(store, page) if long or not everything else [None] * len(page)
    shown = list(zip(page, manifests, strict=True))
    if as_json:
        output.print_json([_document(version, manifest) for version, manifest in shown])
        return
    columns = ["version", "published", "digest", "bytes", "metrics", "note"]
    rows = [_row(version, manifest) for version, manifest in shown]
    if everything and not long:
        columns, rows = columns[:2], [row[:2] for row in rows]
    output.data.print(output.table(f"versions of {name}", columns, rows))
    if len(page) < len(older):
        output.people.print(f"older ones: yard versions {name} --before {page[-1].ref.version}", style="dim")


def _older(store: ObjectStore, name: str, *, limit: int | None, before: int | None) -> list[Listed]:
    """Newest first: all of them without a ``limit``, else one more than it if there is one more."""
    from model_store import versions as room

    if limit is not None:
        return room.recent(store, name, limit + 1, before=before)
    there = reversed(room.listed(store, name))
    return [version for version in there if before is None or version.ref.version < before]


def _manifests(store: ObjectStore, page: list[Listed]) -> list[Manifest | None]:
    """What each version is; ``None`` for one that cannot be read, which must not hide the others."""
    from model_store.contract.errors import IntegrityError, InvalidArtifactError
    from model_store.transfer import in_order
    from model_store.versions import read_manifest

    def read(version: Listed) -> Manifest | None:
        try:
            return read_manifest(store, version.ref)
        except (IntegrityError, InvalidArtifactError):
            return None

    return list(in_order(read, page, at_once=8))


def _document(version: Listed, manifest: Manifest | None) -> dict[str, Any]:
    document: dict[str, Any] = {
        "model": version.ref.model,
        "version": version.ref.version,
        "published_at": _time(version),
    }
    if manifest:
        document |= {
            "kind": manifest.kind,
            "digest": str(manifest.digest),
            "size": manifest.size,
            "created_at": manifest.created_at,
            "created_by": manifest.created_by,
            "metrics": manifest.metrics,
            "note": manifest.note,
        }
    return document


def _row(version: Listed, manifest: Manifest | None) -> tuple[object, ...]:
    if manifest is None:
        return version.ref, _time(version), "?", "?", "", "its manifest cannot be read: yard verify says why"
    return (
        version.ref,
        _time(version),
        manifest.digest.short,
        f"{manifest.size:,}",
        " ".join(f"{key}={value:g}" for key, value in manifest.metrics.items()),
        manifest.note,
    )


def _time(version: Listed) -> str:
    return version.published_at.strftime("%Y-%m-%dT%H:%M:%SZ")
