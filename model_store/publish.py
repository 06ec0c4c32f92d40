"""Publish: artifact bytes first, manifest last. The manifest is the commit point."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from model_store.artifact import examine, find_source
from model_store.contract.digest import Digest
from model_store.contract.errors import (
    IntegrityError,
    InvalidArtifactError,
    NotFoundError,
)
from model_store.contract.keys import baseline_key, blob_key, manifest_key
from model_store.contract.kinds import ONNX
from model_store.contract.manifest import (
    PICTURES,
    SCHEMA,
    WITHOUT_BASELINE,
    Golden,
    Manifest,
    artifact_digest,
)
from model_store.contract.names import ByVersion, check_name
from model_store.describe import make_baseline
from model_store.golden import given_golden, read_sample
from model_store.known import look_up, write_down
from model_store.ports import ObjectStore
from model_store.send import OnProgress, hash_files, send_files
from model_store.source import Source, marked
from model_store.sweeps import wait_out
from model_store.tombstones import is_removed
from model_store.versions import read_manifest


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
    baseline: Path | None = None


def utc_now() -> datetime:
    """The wall clock, in UTC."""
    return datetime.now(UTC)


def publish(
    store: ObjectStore,
    model: str,
    path: Path | Source,
    *,
    kind: str | None = None,
    allow_code: bool = False,
    sample: Path | None = None,
    metrics: Mapping[str, float] | None = None,
    note: str = "",
    lineage: Mapping[str, str] | None = None,
    baseline: Path | None = None,
    created_by: str,
    clock: Callable[[], datetime] = utc_now,
    sleep: Callable[[float], None] = time.sleep,
    force_new: bool = False,
    on_progress: OnProgress | None = None,
    answered: Callable[[Golden], Golden] = lambda golden: golden,
) -> Published:
    """Store the artifact at ``path``, a file or a folder, as the next version of ``model``.

    The same bytes again are the version they already are, unless ``force_new``. Everything is checked
    before anything is written. A crash before the last write leaves unreferenced blobs and no version,
    a crash after it leaves the whole version: running it again is safe either way. Publishers never
    share a number; the loser of a race takes the next one. Files that change meanwhile are refused.
    What a collection took meanwhile is put back (see ``model_store.sweeps``); publishing the same bytes
    again also puts back what a version has lost. ``answered`` may give the golden sample other outputs, or
    raise: what a model that runs elsewhere answers there. Of a version that exists it is asked too, and
    changes nothing.
    """
    check_name(model)
    offer = _Offer(sample, _checked(metrics or {}), note, lineage or {}, created_by, baseline)
    say = on_progress or (lambda _step, _done, _total: None)
    found = path if isinstance(path, Source) else find_source(path, kind=kind, allow_code=allow_code)
    source = marked(found)
    files = hash_files(source.paths, say)
    digest = artifact_digest(files)
    total = sum(file.size for file in files)

    def keep(manifest: Manifest) -> None:
        """Make sure that no collection took a file of ``manifest`` since it was found to be stored."""
        wait_out(
            store, [file.digest for file in manifest.files], now=lambda: clock().timestamp(), sleep=sleep
        )
        lost = tuple(file for file in manifest.files if not store.exists(blob_key(file.digest)))
        if lost:
            send_files(store, source.paths, lost, say)

    known = look_up(store, model, None if force_new else digest)
    if known.same:
        answered(known.same.golden)
        keep(known.same)
        if not is_removed(store, known.same.ref):
            return _already(known.same, offer)

    say("checking the model", 0, total)
    examined = examine(source, digest, sample)
    golden = answered(examined.golden)
    described = None
    if baseline is not None and PICTURES in examined.origin:
        raise InvalidArtifactError(
            "a baseline describes numbers and words, and this model takes files of pictures",
            hint="Leave `--baseline` out.",
        )
    if baseline is not None:
        say("running the model on the baseline's rows", 0, total)
        described = make_baseline(source, examined.inputs, examined.outputs, baseline).to_json()
    source.must_be_unchanged()
    send_files(store, source.paths, files, say)
    named = None
    if described is not None:
        named = Digest.of(described)
        store.put_once(baseline_key(model, named), described)

    say("claiming a version number", total, total)
    number = known.free
    while True:
        manifest = Manifest(
            model=model,
            version=number,
            files=files,
            entry=source.entry,
            inputs=examined.inputs,
            outputs=examined.outputs,
            golden=golden,
            created_at=clock().astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            created_by=offer.created_by,
            metrics=dict(offer.metrics),
            lineage={**examined.origin, **source.said, **offer.lineage},
            note=offer.note,
            kind=source.kind,
            baseline=named,
            schema=SCHEMA if named else WITHOUT_BASELINE,
        )
        # Not put_once: of two publishers with equal manifests both would believe the number is theirs.
        if store.try_put_once(manifest_key(model, number), manifest.to_json()):
            # A number that was listed as free long ago may have been used and taken away since.
            if not is_removed(store, manifest.ref):
                keep(manifest)
                remarks = (*known.remarks, *_lacking(manifest))
                write_down(store, manifest, known)
                return Published(manifest, created=True, remarks=remarks)
        else:
            winner = _readable(store, ByVersion(model, number))
            known.read[number] = winner
            if winner and winner.digest == digest and not force_new:
                keep(winner)
                return _already(winner, offer)
        number += 1


def _checked(metrics: Mapping[str, float]) -> Mapping[str, float]:
    for name, value in metrics.items():
        if not math.isfinite(value):
            raise InvalidArtifactError(
                f"metric `{name}` is {value}", hint="Give a finite number, or leave the metric out."
            )
    return {name: float(value) for name, value in metrics.items()}


def _readable(store: ObjectStore, ref: ByVersion) -> Manifest | None:
    try:
        return read_manifest(store, ref)
    except (IntegrityError, NotFoundError):
        return None


def _lacking(manifest: Manifest) -> list[str]:
    if manifest.golden.is_there:
        return []
    said = f"`{manifest.ref}` has no golden sample, and a target that checks one will not take it; "
    return [said + "give inputs and outputs with `--sample FILE` and publish with `--new`"]


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
    if offer.baseline:
        has = "the baseline that it was published with" if manifest.baseline else "none"
        remarks.append(
            f"a baseline was given, and `{manifest.ref}` keeps {has}; `--new` makes another version"
        )
    if offer.sample and not _is_sample_of(offer.sample, manifest):
        remarks.append(f"the sample differs from the golden sample of `{manifest.ref}`")
    return remarks


def _is_sample_of(sample: Path, manifest: Manifest) -> bool:
    if manifest.kind == ONNX:
        return read_sample(sample, manifest.inputs, pictures=manifest.pictures) == manifest.golden.inputs
    return given_golden(sample)[0] == manifest.golden
