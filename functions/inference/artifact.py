"""The model layer: found on the import path, and hashed while Python is busy importing.

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
from collections.abc import Iterator, Mapping

import orjson

from model_store.contract import environment
from model_store.contract.digest import Digest
from model_store.contract.errors import IntegrityError
from model_store.contract.manifest import Golden, Manifest
from model_store.contract.names import check_name


class Artifact:
    """The files of a version, and the hashing of them, which begins at once and in the background."""

    def __init__(self, package: str, manifest: Manifest) -> None:
        self.manifest = manifest
        self._package = package
        self._folder = os.path.join(package, environment.FILES_FOLDER)
        self._failure: Exception | None = None
        _must_hold_exactly(self._folder, manifest)
        self._hashing = threading.Thread(target=self._hash, daemon=True)
        self._hashing.start()

    def golden(self) -> Golden:
        """The golden sample with its values, which stand in a file of their own."""
        return golden_in(self._package, self.manifest)

    def verified(self) -> str:
        """The folder of the files, once every file is byte for byte the manifest's (law 2).

        Raises ``IntegrityError`` where one is not. The folder is part of a Lambda layer, which nobody can
        write to, so what was read is what will be read.
        """
        self._hashing.join()
        if self._failure is not None:
            raise self._failure
        return self._folder

    def _hash(self) -> None:
        try:
            for file in self.manifest.files:
                found = Digest(_sha256(os.path.join(self._folder, file.path)))
                file.digest.must_equal(found, what=f"`{file.path}`")
        except Exception as error:  # noqa: BLE001 - it is raised where somebody waits for the hashes
            self._failure = error


def find_artifact(environ: Mapping[str, str], *, package: str | None = None) -> Artifact | None:
    """What the environment names, in ``package`` or wherever the model layer was unpacked.

    ``None`` before the first release. Raises ``IntegrityError`` when the environment and the manifest do not
    tell the same model, version and digest.
    """
    found = find_manifest(environ, package=package)
    return Artifact(*found) if found else None


def find_manifest(environ: Mapping[str, str], *, package: str | None = None) -> tuple[str, Manifest] | None:
    """The folder of a model layer and the manifest in it, found as ``find_artifact`` does; files are not."""
    model = check_name(required(environ, environment.MODEL))
    if environment.VERSION not in environ:
        if environment.DIGEST in environ:
            raise IntegrityError(f"`{environment.DIGEST}` is set and `{environment.VERSION}` is not")
        return None
    package = package or _model_package()
    manifest = _manifest(package)
    _must_be(environment.MODEL, model, manifest.model)
    _must_be(environment.VERSION, environ[environment.VERSION], str(manifest.version))
    _digest(environ).must_equal(manifest.digest, what=f"the artifact of {manifest.ref}")
    return package, manifest


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


def _must_hold_exactly(folder: str, manifest: Manifest) -> None:
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


def _sha256(path: str) -> str:
    """One call for the whole file: in between two of them, this thread would wait for the other."""
    with open(path, "rb") as file:
        if os.fstat(file.fileno()).st_size == 0:
            return hashlib.sha256().hexdigest()
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
            return hashlib.sha256(mapped).hexdigest()


def _digest(environ: Mapping[str, str]) -> Digest:
    """The digest as people write it, ``sha256:…``, or its 64 characters alone."""
    return Digest(required(environ, environment.DIGEST).removeprefix("sha256:"))


def _must_be(name: str, expected: str, found: str) -> None:
    if expected != found:
        raise IntegrityError(f"`{name}` is `{expected}`, and the model layer holds `{found}`")


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
