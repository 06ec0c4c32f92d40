"""Publish: artifact bytes first, manifest last. The manifest is the commit point."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from model_store.contract.digest import Digest
from model_store.contract.errors import IntegrityError, InvalidArtifactError, LocalFileError
from model_store.contract.keys import blob_key, manifest_key
from model_store.contract.manifest import ArtifactFile, Golden, Manifest, artifact_digest
from model_store.contract.names import ByVersion, check_name
from model_store.contract.tensors import TensorSpec
from model_store.golden import make_golden, observed, read_sample
from model_store.onnx_file import ModelFacts, Source, find_source, open_model
from model_store.place import local_files
from model_store.ports import ObjectStore
from model_store.versions import load_manifest, load_manifests, versions

OnProgress = Callable[[str, int, int], None]
"""Told what happens now, how many bytes of the artifact are done, and how many there are."""

_SCANNED_AT_ONCE = 32


@dataclass(frozen=True, slots=True)
class Published:
    """What a publish came to.

    ``created`` is false when the same bytes were a version already; then ``remarks`` says in sentences
    which of the given metrics, sample, note and lineage that version does not carry.
    """

    manifest: Manifest
    created: bool
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Offer:
    """What the caller said about the artifact, besides its bytes."""

    sample: Path | None
    metrics: Mapping[str, float]
    note: str
    lineage: Mapping[str, str]
    created_by: str


@dataclass(slots=True)
class _Scan:
    """The versions of a model, as they were seen once."""

    numbers: list[int]
    same: Manifest | None = None
    remarks: list[str] = field(default_factory=list)


def utc_now() -> datetime:
    """The wall clock, in UTC."""
    return datetime.now(UTC)


def publish(
    store: ObjectStore,
    model: str,
    path: Path,
    *,
    sample: Path | None = None,
    metrics: Mapping[str, float] | None = None,
    note: str = "",
    lineage: Mapping[str, str] | None = None,
    created_by: str,
    clock: Callable[[], datetime] = utc_now,
    force_new: bool = False,
    on_progress: OnProgress | None = None,
) -> Published:
    """Store the ONNX file or folder at ``path`` as the next version of ``model``.

    The same bytes again are the version they already are, unless ``force_new``. Everything is checked
    before anything is written. A crash before the last write leaves unreferenced blobs and no version,
    a crash after it leaves the whole version: running it again is safe either way. Publishers never
    share a number; the loser of a race takes the next one. Files that change meanwhile are refused.
    """
    check_name(model)
    offer = _Offer(sample, _checked(metrics or {}), note, lineage or {}, created_by)
    say = on_progress or (lambda _step, _done, _total: None)
    source = find_source(path)
    files = _hashed(source, say)
    digest = artifact_digest(files)
    total = sum(file.size for file in files)

    scan = _scan(store, model, None if force_new else digest)
    if scan.same:
        return _already(scan.same, offer)

    say("checking the model", 0, total)
    facts, outputs, golden = _examined(source, digest, sample)
    _upload(store, source, files, say)

    say("claiming a version number", total, total)
    number = scan.numbers[-1] + 1 if scan.numbers else 1
    while True:
        manifest = Manifest(
            model=model,
            version=number,
            files=files,
            entry=source.entry,
            inputs=facts.inputs,
            outputs=outputs,
            golden=golden,
            created_at=clock().astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            created_by=offer.created_by,
            metrics=dict(offer.metrics),
            lineage={**facts.origin, **offer.lineage},
            note=offer.note,
        )
        # Not put_once: of two publishers with equal manifests both would believe the number is theirs.
        if store.try_put_once(manifest_key(model, number), manifest.to_json()):
            return Published(manifest, created=True, remarks=tuple(scan.remarks))
        winner = _readable(store, ByVersion(model, number))
        if winner and winner.digest == digest and not force_new:
            return _already(winner, offer)
        number += 1


def _checked(metrics: Mapping[str, float]) -> Mapping[str, float]:
    for name, value in metrics.items():
        if not math.isfinite(value):
            raise InvalidArtifactError(
                f"metric `{name}` is {value}", hint="Give a finite number, or leave the metric out."
            )
    return {name: float(value) for name, value in metrics.items()}


def _hashed(source: Source, say: OnProgress) -> tuple[ArtifactFile, ...]:
    files: list[ArtifactFile] = []
    with local_files(source.graph):
        sizes = {name: path.stat().st_size for name, path in source.paths.items()}
    total, done = sum(sizes.values()), 0
    for name, path in source.paths.items():
        say(f"hashing {name}", done, total)
        with local_files(path):
            files.append(ArtifactFile(name, Digest.of_file(path), sizes[name]))
        done += sizes[name]
    return tuple(files)


def _examined(
    source: Source, digest: Digest, sample: Path | None
) -> tuple[ModelFacts, tuple[TensorSpec, ...], Golden]:
    opened = open_model(source)
    golden = make_golden(opened, digest, sample)
    return opened.facts, observed(opened.facts.outputs, golden.outputs), golden


def _upload(store: ObjectStore, source: Source, files: tuple[ArtifactFile, ...], say: OnProgress) -> None:
    total, done = sum(file.size for file in files), 0
    for file in files:
        say(f"storing {file.path}", done, total)
        try:
            store.put_file_once(blob_key(file.digest), source.paths[file.path], file.digest)
        except (IntegrityError, LocalFileError) as error:
            raise IntegrityError(
                f"`{file.path}` changed while it was being published",
                hint="Wait until nothing writes to it, then publish again.",
            ) from error
        done += file.size
    say("stored", done, total)


def _scan(store: ObjectStore, model: str, digest: Digest | None) -> _Scan:
    """Look for a version with ``digest``, newest first, and remember which numbers were seen.

    A manifest that cannot be read must not stop the next publish: nobody can overwrite it. It cannot be
    compared either, so it is named in the remarks.
    """
    scan = _Scan(versions(store, model))
    if digest is None:
        return scan
    newest_first = [ByVersion(model, number) for number in reversed(scan.numbers)]
    for start in range(0, len(newest_first), _SCANNED_AT_ONCE):
        for manifest in _manifests(store, newest_first[start : start + _SCANNED_AT_ONCE], scan.remarks):
            if manifest.digest == digest:
                scan.same = manifest
                return scan
    return scan


def _manifests(store: ObjectStore, refs: list[ByVersion], remarks: list[str]) -> list[Manifest]:
    try:
        return load_manifests(store, refs)
    except IntegrityError:
        found = {ref: _readable(store, ref) for ref in refs}
        remarks.extend(f"the manifest of `{ref}` cannot be read" for ref in refs if found[ref] is None)
        return [manifest for manifest in found.values() if manifest]


def _readable(store: ObjectStore, ref: ByVersion) -> Manifest | None:
    try:
        return load_manifest(store, ref)
    except IntegrityError:
        return None


def _already(manifest: Manifest, offer: _Offer) -> Published:
    return Published(manifest, created=False, remarks=tuple(_unlike(manifest, offer)))


def _unlike(manifest: Manifest, offer: _Offer) -> list[str]:
    remarks = []
    for name, value in offer.metrics.items():
        recorded = manifest.metrics.get(name)
        if recorded != value:
            carried = "none" if recorded is None else f"{recorded:g}"
            remarks.append(f"metric `{name}` was given as {value:g}, `{manifest.ref}` carries {carried}")
    if offer.note and offer.note != manifest.note:
        remarks.append(f"the note differs from that of `{manifest.ref}`")
    for key, text in offer.lineage.items():
        if manifest.lineage.get(key) != text:
            remarks.append(f"lineage `{key}` differs from that of `{manifest.ref}`")
    if offer.sample and read_sample(offer.sample, manifest.inputs) != manifest.golden.inputs:
        remarks.append(f"the sample differs from the golden sample of `{manifest.ref}`")
    return remarks
