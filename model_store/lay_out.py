"""Lay a version out as a folder of the bucket, for those that copy a prefix and know no digests.

SageMaker puts every object below an S3 prefix where a container finds its model, under the object's own name
(``S3ModelDataSource``: ``S3Prefix`` without compression). So the version is laid out once, as the folder that
a Lambda model gets in its layer: ``manifest.json``, ``golden.json`` and ``files/``. Large files are copied by
the store itself. Every key is written once (law 1): a crash leaves a part of the folder, and the same call
completes it.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace

from model_store.contract.digest import Digest
from model_store.contract.environment import FILES_FOLDER, GOLDEN_FILE, MANIFEST_FILE
from model_store.contract.errors import IntegrityError, InvalidArtifactError, InvalidNameError
from model_store.contract.keys import blob_key, served_prefix
from model_store.contract.manifest import Manifest
from model_store.contract.names import ByVersion
from model_store.ports import ObjectStore, check_key
from model_store.versions import load_manifest


def lay_out(
    store: ObjectStore, ref: ByVersion, digest: Digest, *, say: Callable[[str], None] = lambda _: None
) -> Manifest:
    """Lay ``ref`` out if it is ``digest``, and return its manifest. Safe to repeat, also at the same time.

    Raises ``IntegrityError`` if the store's version is another than the one that was locked.
    """
    manifest = load_manifest(store, ref)
    if manifest.digest != digest:
        raise IntegrityError(
            f"`{ref}` is {manifest.digest.short}… in this store, and {digest.short}… was locked",
            hint="Lock the versions of this stage again with `yard lock`, then deploy.",
        )
    folder = served_prefix(ref.model, ref.version)
    targets = {file: _key(folder, file.path) for file in manifest.files}
    for file, target in targets.items():
        say(f"laying out {file.path} of {ref}")
        store.copy_once(blob_key(file.digest), target, file.digest, file.parts)
    # The manifest last: where it is, the folder is whole.
    slim = replace(manifest, golden=manifest.golden.without_values())
    store.put_once(folder + GOLDEN_FILE, json.dumps(manifest.golden.as_json()).encode())
    store.put_once(folder + MANIFEST_FILE, slim.to_json())
    return manifest


def is_laid_out(store: ObjectStore, ref: ByVersion) -> bool:
    """Whether the whole folder is there."""
    return store.exists(served_prefix(ref.model, ref.version) + MANIFEST_FILE)


def check_paths(manifest: Manifest) -> Manifest:
    """Return ``manifest`` if its files can be laid out: their names must be keys."""
    for file in manifest.files:
        _key(served_prefix(manifest.model, manifest.version), file.path)
    return manifest


def _key(folder: str, path: str) -> str:
    try:
        return check_key(f"{folder}{FILES_FOLDER}/{path}")
    except InvalidNameError as error:
        raise InvalidArtifactError(
            f"the file `{path}` cannot be served by an endpoint: its name is no key of the model store",
            hint="Publish the version with names of letters, digits, `.`, `_` and `-`.",
        ) from error
