"""The model: found in its layer on the import path, and hashed while Python is busy importing.

Hashing a model takes as long as a tenth of a cold start, and so does nothing else at that moment: importing
numpy and onnxruntime keeps one processor busy and leaves the others idle. So this module imports neither,
``functions.inference.handler`` asks it first, and whoever loads the model waits for the hashes (law 2).
"""

from __future__ import annotations

import hashlib
import mmap
import os
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Protocol

import orjson

from model_store.contract import environment
from model_store.contract.digest import Digest
from model_store.contract.errors import IntegrityError
from model_store.contract.manifest import Golden, Manifest
from model_store.contract.names import check_name


class Artifact(Protocol):
    """A version: what it is, and its files once they are known to be what was published."""

    manifest: Manifest

    def golden(self) -> Golden:
        """The golden sample with its values."""

    def verified(self) -> str:
        """The folder of the files, every one of them byte for byte the manifest's (law 2)."""


class InBackground:
    """Work that is begun at once, in a thread, and whose end is waited for when somebody needs it."""

    def __init__(self, work: Callable[[], object]) -> None:
        self._work = work
        self._failure: Exception | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def finished(self) -> None:
        """Wait for the end; raise what the work raised."""
        self._thread.join()
        if self._failure is not None:
            raise self._failure

    def _run(self) -> None:
        try:
            self._work()
        except Exception as error:  # noqa: BLE001 - it is raised where somebody waits
            self._failure = error


class LayerArtifact:
    """An ``Artifact`` whose files a model layer carries; the hashing of them begins at once."""

    def __init__(self, package: str, manifest: Manifest) -> None:
        self.manifest = manifest
        self._package = package
        self._folder = os.path.join(package, environment.FILES_FOLDER)
        must_hold_exactly(self._folder, manifest)
        self._hashing = InBackground(self._hash)

    def golden(self) -> Golden:
        """The golden sample with its values, which stand in a file of their own."""
        return golden_in(self._package, self.manifest)

    def verified(self) -> str:
        """The folder of the files, once every file is byte for byte the manifest's (law 2).

        Raises ``IntegrityError`` where one is not. The folder is part of a Lambda layer, which nobody can
        write to, so what was read is what will be read.
        """
        self._hashing.finished()
        return self._folder

    def _hash(self) -> None:
        for file in self.manifest.files:
            found = Digest(sha256_of(os.path.join(self._folder, file.path)))
            file.digest.must_equal(found, what=f"`{file.path}`")


def find_artifact(environ: Mapping[str, str], *, package: str | None = None) -> Artifact | None:
    """What the environment names, in ``package`` or wherever the model layer was unpacked.

    ``None`` before the first release. Raises ``IntegrityError`` when the environment and the manifest do not
    tell the same model, version and digest.
    """
    found = find_manifest(environ, package=package)
    return LayerArtifact(*found) if found else None


def find_manifest(environ: Mapping[str, str], *, package: str | None = None) -> tuple[str, Manifest] | None:
    """The folder of a model layer and the manifest in it, found as ``find_artifact`` does; files are not."""
    check_name(required(environ, environment.MODEL))
    if environment.VERSION not in environ:
        if environment.DIGEST in environ:
            raise IntegrityError(f"`{environment.DIGEST}` is set and `{environment.VERSION}` is not")
        return None
    package = package or _model_package()
    manifest = _manifest(package)
    must_be_named(environ, manifest, where="the model layer")
    if signed := environ.get(environment.SIGNED_MANIFEST):
        # The layer has the golden sample's values in a file of their own; what was signed has them inside.
        whole = replace(manifest, golden=golden_in(package, manifest)).to_json()
        must_be_signed(signed, Digest.of(whole), manifest)
    return package, manifest


def must_be_signed(signed: str, found: Digest, manifest: Manifest) -> None:
    """Refuse a manifest that is not, byte for byte, the one whose signature the release verified."""
    Digest(signed).must_equal(found, what=f"the signed manifest of {manifest.ref}")


def must_be_named(environ: Mapping[str, str], manifest: Manifest, *, where: str) -> None:
    """Refuse a manifest, held by ``where``, of another model, version or digest than ``environ`` names."""
    named = {environment.MODEL: manifest.model, environment.VERSION: str(manifest.version)}
    for variable, found in named.items():
        if environ.get(variable) != found:
            raise IntegrityError(f"`{variable}` is `{environ.get(variable)}`, and {where} holds `{found}`")
    _digest(environ).must_equal(manifest.digest, what=f"the artifact of {manifest.ref}")


def golden_in(package: str, manifest: Manifest) -> Golden:
    """The golden sample with its values, which stand in a file of their own."""
    path = os.path.join(package, environment.GOLDEN_FILE)
    if not os.path.exists(path):
        return manifest.golden
    with open(path, "rb") as file:
        return Golden.from_json(orjson.loads(file.read()))


def required(environ: Mapping[str, str], name: str) -> str:
    """The value of a variable that has to be set."""
    if value := environ.get(name):
        return value
    raise IntegrityError(f"the environment variable `{name}` is not set")


def must_hold_exactly(folder: str, manifest: Manifest) -> None:
    """Refuse a folder in which a graph could read what nobody has verified, or would miss something."""
    found, named = set(_files_below(folder)), {file.path for file in manifest.files}
    if unexpected := found - named:
        raise IntegrityError(
            f"the artifact of {manifest.ref} has `{min(unexpected)}`, which its manifest does not name"
        )
    if missing := named - found:
        raise IntegrityError(
            f"the artifact of {manifest.ref} lacks `{min(missing)}`, which its manifest names"
        )


def _files_below(folder: str) -> Iterator[str]:
    for here, _, names in os.walk(folder):
        for name in names:
            yield os.path.relpath(os.path.join(here, name), folder)


def sha256_of(path: str) -> str:
    """One call for the whole file: in between two of them, this thread would wait for the other."""
    with open(path, "rb") as file:
        if os.fstat(file.fileno()).st_size == 0:
            return hashlib.sha256().hexdigest()
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
            return hashlib.sha256(mapped).hexdigest()


def _digest(environ: Mapping[str, str]) -> Digest:
    """The digest as people write it, ``sha256:…``, or its 64 characters alone."""
    return Digest(required(environ, environment.DIGEST).removeprefix("sha256:"))


def _model_package() -> str:
    """The folder ``switchyard_model`` on Python's own import path, wherever layers are unpacked.

    Looked for, not imported: nothing in a model layer is ever executed (law 12).
    """
    found = {os.path.realpath(os.path.join(place, environment.MODEL_PACKAGE)) for place in sys.path}
    places = sorted(filter(os.path.isdir, found))
    if not places:
        searched = len(sys.path)
        raise IntegrityError(
            f"no folder `{environment.MODEL_PACKAGE}` stands on the import path ({searched} places searched)",
            hint="Attach the model layer of the version that the environment names.",
        )
    if len(places) > 1:
        raise IntegrityError(f"{len(places)} model layers are attached, and a function serves one")
    return places[0]


def _manifest(package: str) -> Manifest:
    try:
        with open(os.path.join(package, environment.MANIFEST_FILE), "rb") as file:
            document = orjson.loads(file.read())
    except (OSError, orjson.JSONDecodeError) as error:
        raise IntegrityError("the model layer's manifest cannot be read") from error
    return Manifest.from_document(document)
