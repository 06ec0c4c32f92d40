"""The model layer: found on the import path, and hashed while Python is busy importing.

Hashing a model takes as long as a tenth of a cold start, and so does nothing else at that moment: importing
numpy and onnxruntime keeps one processor busy and leaves the others idle. So this module imports neither,
``functions.inference.handler`` asks it first, and whoever loads the model waits for the hashes (law 2).
"""

from __future__ import annotations

import hashlib
import importlib.util
import mmap
import sys
import threading
from collections.abc import Mapping
from pathlib import Path

import orjson

from model_store.contract import environment
from model_store.contract.digest import Digest
from model_store.contract.errors import IntegrityError
from model_store.contract.manifest import Manifest
from model_store.contract.names import check_name


class Artifact:
    """The files of a version, and the hashing of them, which begins at once and in the background."""

    def __init__(self, folder: Path, manifest: Manifest) -> None:
        self.manifest = manifest
        self._folder = folder
        self._failure: Exception | None = None
        _must_hold_exactly(folder, manifest)
        self._hashing = threading.Thread(target=self._hash, daemon=True)
        self._hashing.start()

    def verified(self) -> Path:
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
                found = Digest(_sha256(self._folder / file.path))
                file.digest.must_equal(found, what=f"`{file.path}`")
        except Exception as error:  # noqa: BLE001 - it is raised where somebody waits for the hashes
            self._failure = error


def find_artifact(environ: Mapping[str, str], *, package: Path | None = None) -> Artifact | None:
    """What the environment names, in ``package`` or wherever the model layer was unpacked.

    ``None`` before the first release. Raises ``IntegrityError`` when the environment and the manifest do not
    tell the same model, version and digest.
    """
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
    return Artifact(package / environment.FILES_FOLDER, manifest)


def required(environ: Mapping[str, str], name: str) -> str:
    """The value of a variable that has to be set."""
    if value := environ.get(name):
        return value
    raise IntegrityError(f"the environment variable `{name}` is not set")


def _must_hold_exactly(folder: Path, manifest: Manifest) -> None:
    """Refuse a folder in which a graph could read what nobody has verified, or would miss something."""
    found = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir()}
    named = {file.path for file in manifest.files}
    if unexpected := found - named:
        raise IntegrityError(
            f"the artifact of {manifest.ref} has `{min(unexpected)}`, which its manifest does not name"
        )
    if missing := named - found:
        raise IntegrityError(
            f"the artifact of {manifest.ref} lacks `{min(missing)}`, which its manifest names"
        )


def _sha256(path: Path) -> str:
    """One call for the whole file: in between two of them, this thread would wait for the other."""
    with path.open("rb") as file:
        if path.stat().st_size == 0:
            return hashlib.sha256().hexdigest()
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
            return hashlib.sha256(mapped).hexdigest()


def _digest(environ: Mapping[str, str]) -> Digest:
    """The digest as people write it, ``sha256:…``, or its 64 characters alone."""
    return Digest(required(environ, environment.DIGEST).removeprefix("sha256:"))


def _must_be(name: str, expected: str, found: str) -> None:
    if expected != found:
        raise IntegrityError(f"`{name}` is `{expected}`, and the model layer holds `{found}`")


def _model_package() -> Path:
    """The folder ``switchyard_model`` on Python's own import path, wherever layers are unpacked.

    Looked for, not imported: nothing in a model layer is ever executed (law 12).
    """
    spec = importlib.util.find_spec(environment.MODEL_PACKAGE)
    places = sorted(set(spec.submodule_search_locations or ())) if spec else []
    if not places:
        searched = len(sys.path)
        raise IntegrityError(
            f"no folder `{environment.MODEL_PACKAGE}` stands on the import path ({searched} places searched)",
            hint="Attach the model layer of the version that the environment names.",
        )
    if len(places) > 1:
        raise IntegrityError(f"{len(places)} model layers are attached, and a function serves one")
    return Path(places[0])


def _manifest(package: Path) -> Manifest:
    try:
        document = orjson.loads((package / environment.MANIFEST_FILE).read_bytes())
    except (OSError, orjson.JSONDecodeError) as error:
        raise IntegrityError("the model layer's manifest cannot be read") from error
    return Manifest.from_document(document)
