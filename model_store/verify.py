"""Verify what is stored: read every byte again, hash it, and say what is wrong. Nothing is changed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial

from model_store.contract.digest import Digest
from model_store.contract.errors import IntegrityError, InvalidArtifactError, NotFoundError
from model_store.contract.keys import blob_key
from model_store.contract.manifest import ArtifactFile, Manifest
from model_store.contract.names import ByVersion, check_name
from model_store.ports import ObjectStore, OnBytes, unheard
from model_store.send import SMALL_AT_ONCE, OnProgress, Progress
from model_store.tombstones import is_removed
from model_store.transfer import counted, fetched, in_order, unpaused
from model_store.versions import load_manifest, models, read_manifest, versions


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is wrong with a version: a present-tense sentence."""

    ref: ByVersion
    what: str

    def __str__(self) -> str:
        return f"{self.ref}: {self.what}"


@dataclass(slots=True)
class Verified:
    """What was looked at, and what was found to be wrong with it; no findings, nothing wrong."""

    versions: int = 0
    files: int = 0
    size: int = 0
    findings: list[Finding] = field(default_factory=list)
    refs: list[ByVersion] = field(default_factory=list)


def verify(
    store: ObjectStore,
    *,
    model: str | None = None,
    version: int | None = None,
    on_progress: OnProgress | None = None,
) -> Verified:
    """Re-read and re-hash one version, one model or everything.

    A finding is a manifest that cannot be read or speaks of something else, a file that is lost, and a
    file whose bytes are not what the manifest names. Identical bytes are read once, however many versions
    have them. Raises ``NotFoundError`` for what was never published; a store that does not answer is an
    error, no finding. A version that is taken away meanwhile is passed over. Safe to repeat.
    """
    done = Verified()
    manifests = list(_manifests(store, model, version, done))
    done.refs = [manifest.ref for manifest in manifests]
    held: dict[ArtifactFile, dict[ByVersion, Manifest]] = {}
    for manifest in manifests:
        for file in manifest.files:
            # Which path a file has in its artifact says nothing about its bytes.
            bytes_ = ArtifactFile("bytes", file.digest, file.size, file.parts)
            held.setdefault(bytes_, {})[manifest.ref] = manifest
    progress = Progress(sum(file.size for file in held), on_progress)
    for file, wrong in _checked(store, list(held), progress):
        done.files += 1
        done.size += file.size
        if wrong:
            done.findings += _said(store, file, held[file].values(), wrong)
    progress.begins("verified")
    return done


def _manifests(
    store: ObjectStore, model: str | None, version: int | None, done: Verified
) -> Iterator[Manifest]:
    if model is not None:
        check_name(model)
    for name in models(store) if model is None else [model]:
        numbers = versions(store, name) if version is None else [version]
        if model is not None and (version is not None or not numbers):
            _must_exist(store, ByVersion(name, version or 1))
        for number in numbers:
            ref = ByVersion(name, number)
            done.versions += 1
            try:
                yield read_manifest(store, ref)
            except (IntegrityError, InvalidArtifactError) as error:
                done.findings.append(Finding(ref, str(error)))
            except NotFoundError:
                done.versions -= 1


def _must_exist(store: ObjectStore, ref: ByVersion) -> None:
    with suppress(IntegrityError, InvalidArtifactError):  # then it is there, and becomes a finding
        load_manifest(store, ref)


def _checked(
    store: ObjectStore, files: list[ArtifactFile], progress: Progress
) -> Iterator[tuple[ArtifactFile, str | None]]:
    small = [file for file in files if not file.parts]
    progress.begins("re-reading small files")
    for file, wrong in in_order(
        lambda file: (file, _wrong(store, file, unheard)), small, at_once=SMALL_AT_ONCE
    ):
        progress(file.size)
        yield file, wrong
    for file in files:
        if file.parts:
            progress.begins(f"re-reading {file.digest.short}")
            yield file, _wrong(store, file, progress)


def _wrong(store: ObjectStore, file: ArtifactFile, on_bytes: OnBytes) -> str | None:
    """What is wrong with the stored bytes of ``file``, to be said after its name; ``None`` if nothing."""
    key = blob_key(file.digest)
    size = 0

    def count(more: int) -> None:
        nonlocal size
        size += more
        on_bytes(more)

    try:
        if file.parts:
            chunks = fetched(partial(store.chunks, key), file.parts, name=key, sleep=unpaused)
        else:
            chunks = store.chunks(key)
        found = Digest.of_chunks(counted(chunks, count))
    except NotFoundError:
        return "is lost: the store holds nothing under its digest"
    except IntegrityError as error:
        return f"is not what was published: {error}"
    if found != file.digest:
        return f"is not what was published: {size} bytes with sha256 {found.short}…, {file.size} expected"
    if size != file.size:
        return f"has {size} bytes, its manifest says {file.size}"
    return None


def _said(
    store: ObjectStore, file: ArtifactFile, manifests: Iterable[Manifest], wrong: str
) -> Iterator[Finding]:
    for manifest in manifests:
        # A collection takes the tombstone's version before its bytes: what is gone by then was no version.
        if not is_removed(store, manifest.ref):
            for named in manifest.files:
                if named.digest == file.digest:
                    yield Finding(manifest.ref, f"its file `{named.path}` {wrong}")
