"""Promote: carry a version from one store to another, of another stage or another account, by digest.

The same law as for a publish (law 1): bytes first, manifest last, and the manifest is the commit point.
What arrives is the next version of the *other* store, whatever number it had: numbers belong to a store,
digests to the bytes. Golden sample, metrics and note travel along; the lineage says where it was.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from model_store.baseline import baseline_bytes
from model_store.contract.endpoints import ADOPTED, SAGEMAKER
from model_store.contract.errors import IntegrityError, NotFoundError
from model_store.contract.keys import baseline_key, blob_key, manifest_key
from model_store.contract.manifest import ArtifactFile, Manifest
from model_store.contract.names import ByVersion
from model_store.edge import keep_litert, litert_digest, load_litert
from model_store.known import look_up, write_down
from model_store.ports import ObjectStore
from model_store.publish import Published, utc_now
from model_store.reports import keep_report, load_report, report_digest
from model_store.send import OnProgress
from model_store.sweeps import wait_out
from model_store.tombstones import is_removed
from model_store.versions import load_manifest, read_manifest

ORIGIN = "origin"
"""Lineage: where the version was first published, ``dev/digits:7``. It survives every further promotion."""

PROMOTED_FROM = "promoted_from"
"""Lineage: the stage and version it was promoted from, ``dev/digits:7``."""

PUBLISHED_BY = "published_by"
PUBLISHED_AT = "published_at"
"""Lineage: who published it first, and when. ``created_by`` is who promoted it."""


def promote(
    source: ObjectStore,
    target: ObjectStore,
    ref: ByVersion,
    *,
    from_stage: str,
    promoted_by: str,
    clock: Callable[[], datetime] = utc_now,
    sleep: Callable[[float], None] = time.sleep,
    on_progress: OnProgress | None = None,
) -> Published:
    """Store version ``ref`` of ``source`` as the next version of the same model in ``target``.

    The same bytes there already are the version they already are. Every file is verified on its way and
    refused with ``IntegrityError`` if it is not what its digest says. A crash before the last write leaves
    unreferenced blobs and no version: running it again is safe. Nothing is ever written to ``source``.
    """
    manifest = load_manifest(source, ref)
    say = on_progress or (lambda _step, _done, _total: None)
    remarks: list[str] = []
    # The number to claim follows from this look and no later one: whatever appears after it has that
    # number or a higher one, and is met on the way up.
    known = look_up(target, ref.model, manifest.digest)

    def keep(stored: Manifest) -> None:
        """Make sure that no collection took a file of ``stored`` since it was found to be there."""
        digests = [file.digest for file in stored.files]
        wait_out(target, digests, now=lambda: clock().timestamp(), sleep=sleep)
        copy_files(source, target, manifest, say)

    if same := known.same:
        keep(same)
        if not is_removed(target, same.ref):
            return Published(same, created=False, remarks=_unlike(same, manifest))
    copy_files(source, target, manifest, say)
    say("claiming a version number", manifest.size, manifest.size)
    number = known.free
    while True:
        promoted = replace(
            manifest,
            version=number,
            created_at=clock().astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            created_by=promoted_by,
            lineage=_lineage(manifest, from_stage),
        )
        # Not put_once: of two promoters with equal manifests both would believe the number is theirs.
        if target.try_put_once(manifest_key(ref.model, number), promoted.to_json()):
            # A number that was listed as free long ago may have been used and taken away since.
            if not is_removed(target, promoted.ref):
                keep(promoted)
                said = (*known.remarks, *remarks)
                write_down(target, promoted, known)
                return Published(promoted, created=True, remarks=said)
        else:
            winner = _readable(target, ByVersion(ref.model, number), remarks)
            known.read[number] = winner
            if winner and winner.digest == manifest.digest:
                keep(winner)
                return Published(winner, created=False, remarks=_unlike(winner, manifest))
        number += 1


def _lineage(manifest: Manifest, from_stage: str) -> dict[str, str]:
    here = f"{from_stage}/{manifest.ref}"
    first = {ORIGIN: here, PUBLISHED_BY: manifest.created_by, PUBLISHED_AT: manifest.created_at}
    # An endpoint that was adopted stands in the stage before, and runs nothing in this one.
    travels = {
        name: said
        for name, said in manifest.lineage.items()
        if name != ADOPTED or not said.startswith(f"{SAGEMAKER}:")
    }
    return {**first, **travels, PROMOTED_FROM: here}


def copy_files(source: ObjectStore, target: ObjectStore, manifest: Manifest, say: OnProgress) -> None:
    """Copy the files of ``manifest`` that ``target`` lacks, each verified on its way; safe to repeat."""
    done = 0
    with tempfile.TemporaryDirectory(prefix="switchyard-promote-") as folder:
        for file in manifest.files:
            say(f"copying {file.path}", done, manifest.size)
            if not target.exists(blob_key(file.digest)):
                _copy_file(source, target, manifest, file, Path(folder) / "blob")
            done += file.size
    if manifest.baseline is not None:
        data = baseline_bytes(source, manifest)
        target.put_once(baseline_key(manifest.model, manifest.baseline), data)
    if report_digest(manifest) is not None:
        keep_report(target, manifest.model, load_report(source, manifest))
    if litert_digest(manifest) is not None:
        keep_litert(target, manifest.model, load_litert(source, manifest))


def _copy_file(
    source: ObjectStore, target: ObjectStore, manifest: Manifest, file: ArtifactFile, path: Path
) -> None:
    key = blob_key(file.digest)
    try:
        source.fetch_file(key, path, file.digest, file.parts)
    except NotFoundError as error:
        raise IntegrityError(
            f"`{manifest.ref}` is not complete: its store has lost the file `{file.path}`",
            hint="Restore the object from an earlier version of the bucket, or publish the model again.",
        ) from error
    target.put_file_once(key, path, file.digest, file.parts)
    path.unlink()


def _readable(store: ObjectStore, ref: ByVersion, remarks: list[str]) -> Manifest | None:
    try:
        return read_manifest(store, ref)
    except NotFoundError:
        return None
    except IntegrityError:
        remarks.append(f"the manifest of `{ref}` cannot be read")
        return None


def _unlike(there: Manifest, offered: Manifest) -> tuple[str, ...]:
    """What the version that is there does not say of what was offered."""
    found = []
    if there.golden != offered.golden:
        found.append(f"the golden sample of `{there.ref}` there is another one")
    for name, value in offered.metrics.items():
        if there.metrics.get(name) != value:
            found.append(f"metric `{name}` is {value:g} here and not in `{there.ref}` there")
    return tuple(found)
