"""Fetch a version to a folder: every file verified, all of them or none."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from uuid import uuid4

from model_store.cache import Cache
from model_store.contract.digest import Digest
from model_store.contract.errors import (
    AlreadyExistsError,
    IntegrityError,
    LocalFileError,
    NotFoundError,
)
from model_store.contract.keys import blob_key
from model_store.contract.manifest import ArtifactFile, Manifest
from model_store.contract.names import ByVersion
from model_store.place import local_files
from model_store.ports import ObjectStore, OnBytes, unheard
from model_store.send import SMALL_AT_ONCE, OnProgress, Progress
from model_store.transfer import in_order
from model_store.versions import load_manifest


def fetch(
    store: ObjectStore,
    ref: ByVersion,
    folder: Path,
    *,
    cache: Cache | None = None,
    on_progress: OnProgress | None = None,
) -> Manifest:
    """Put the files of version ``ref`` into ``folder`` and return its manifest.

    Large files come in parts, several at once. What ``cache`` holds is copied from there, what it does
    not hold is kept there.

    The folder appears whole or not at all: files are verified in a hidden folder beside it, which is
    then renamed. Raises ``IntegrityError`` for bytes that are not what the manifest names, and
    ``AlreadyExistsError`` when ``folder`` holds something else; holding the same, it is left as it is.
    A killed process leaves the hidden ``.part`` folder. Safe to repeat.
    """
    manifest = load_manifest(store, ref)
    if _is_taken(folder):
        _must_hold(folder, manifest)
        return manifest
    part = folder.parent / f".{folder.name}.{uuid4().hex}.part"
    try:
        with local_files(part):
            part.mkdir(parents=True)
        _fetch_files(store, manifest, part, cache, Progress(manifest.size, on_progress))
        _rename(part, folder, manifest)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return manifest


def _fetch_files(
    store: ObjectStore, manifest: Manifest, part: Path, cache: Cache | None, done: Progress
) -> None:
    def fetch(file: ArtifactFile, on_bytes: OnBytes) -> int:
        if cache and cache.take(file, part / file.path):
            on_bytes(file.size)
            return file.size
        _fetch_file(store, manifest, file, part / file.path, on_bytes)
        if cache:
            with suppress(LocalFileError):  # a full disk is no reason to be without the model
                cache.keep(file, part / file.path)
        return file.size

    def announced(wanted: Sequence[ArtifactFile]) -> Iterator[ArtifactFile]:
        for file in wanted:
            done.begins(f"fetching {file.path}")
            yield file

    small = announced([file for file in manifest.files if not file.parts])
    for size in in_order(lambda file: fetch(file, unheard), small, at_once=SMALL_AT_ONCE):
        done(size)
    for file in announced([file for file in manifest.files if file.parts]):
        fetch(file, done)
    done.begins("fetched")


def _fetch_file(
    store: ObjectStore, manifest: Manifest, file: ArtifactFile, path: Path, on_bytes: OnBytes
) -> None:
    try:
        store.fetch_file(blob_key(file.digest), path, file.digest, file.parts, on_bytes)
    except NotFoundError as error:
        raise IntegrityError(
            f"`{manifest.ref}` is not complete: the store has lost its file `{file.path}`",
            hint="Restore the object from an earlier version of the bucket, or publish the model again.",
        ) from error
    if path.stat().st_size != file.size:
        raise IntegrityError(f"`{file.path}` of `{manifest.ref}` has another size than its manifest says")


def _rename(part: Path, folder: Path, manifest: Manifest) -> None:
    try:
        part.replace(folder)
    except OSError:
        # Somebody else may have fetched it meanwhile; then what is there is as good as ours.
        if not _is_taken(folder):
            with local_files(folder):
                raise
        _must_hold(folder, manifest)


def _is_taken(folder: Path) -> bool:
    with local_files(folder):
        return folder.is_symlink() or folder.is_file() or (folder.is_dir() and any(folder.iterdir()))


def _must_hold(folder: Path, manifest: Manifest) -> None:
    wanted = {file.path: file.digest for file in manifest.files}
    with local_files(folder):
        found = _digests(folder) if folder.is_dir() else {}
    if found != wanted:
        raise AlreadyExistsError(
            f"`{folder}` already holds something other than `{manifest.ref}`",
            hint="Name a folder that is empty or not there yet.",
        )


def _digests(folder: Path) -> dict[str, Digest]:
    paths = (Path(where) / name for where, _, names in os.walk(folder) for name in names)
    return {path.relative_to(folder).as_posix(): Digest.of_file(path) for path in paths}
