"""Fetch a version to a folder: every file verified, all of them or none."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from uuid import uuid4

from model_store.contract.digest import Digest
from model_store.contract.errors import AlreadyExistsError, IntegrityError, NotFoundError
from model_store.contract.keys import blob_key
from model_store.contract.manifest import ArtifactFile, Manifest
from model_store.contract.names import ByVersion
from model_store.place import local_files
from model_store.ports import ObjectStore
from model_store.versions import load_manifest


def fetch(store: ObjectStore, ref: ByVersion, folder: Path) -> Manifest:
    """Put the files of version ``ref`` into ``folder`` and return its manifest.

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
        for file in manifest.files:
            _fetch_file(store, manifest, file, part / file.path)
        _rename(part, folder, manifest)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return manifest


def _fetch_file(store: ObjectStore, manifest: Manifest, file: ArtifactFile, path: Path) -> None:
    try:
        store.fetch_file(blob_key(file.digest), path, file.digest)
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
