"""What this function serves: read from its environment and from the model layer, once, at start.

Everything that does not fit together raises, so that Lambda's init fails and the version never
becomes a release: a function that is unsure what it holds does not answer (law 2).
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from functions.inference.limits import MEMORY_VARIABLE
from functions.inference.predictor import Predictor, threads_for
from functions.protocol.requests import Signature
from model_store.contract import environment
from model_store.contract.digest import Digest
from model_store.contract.errors import IntegrityError
from model_store.contract.manifest import Manifest
from model_store.contract.names import check_name


@dataclass(frozen=True, slots=True)
class Served:
    """A released version, loaded.

    ``labels`` go into every log line, ``headers`` into every answer, so that a bad prediction can be
    traced to the release that made it.
    """

    manifest: Manifest
    predictor: Predictor
    signature: Signature

    @property
    def model(self) -> str:
        return self.manifest.model

    @property
    def labels(self) -> dict[str, str]:
        return {"model": self.model, "version": str(self.manifest.version)}

    @property
    def headers(self) -> dict[str, str]:
        return {
            environment.MODEL_HEADER: str(self.manifest.ref),
            environment.DIGEST_HEADER: str(self.manifest.digest),
        }


@dataclass(frozen=True, slots=True)
class Unreleased:
    """A function that ``cdk deploy`` made and no release has reached yet."""

    model: str

    @property
    def labels(self) -> dict[str, str]:
        return {"model": self.model, "version": ""}

    @property
    def headers(self) -> dict[str, str]:
        return {}


def load_served(environ: Mapping[str, str], *, package: Path | None = None) -> Served | Unreleased:
    """Load what the environment names, from ``package`` or from wherever the model layer was unpacked.

    Raises ``IntegrityError`` when the environment, the manifest and the files do not all tell the same
    model, version and digest.
    """
    model = check_name(_required(environ, environment.MODEL))
    if environment.VERSION not in environ:
        if environment.DIGEST in environ:
            raise IntegrityError(f"`{environment.DIGEST}` is set and `{environment.VERSION}` is not")
        return Unreleased(model)
    package = package or _model_package()
    manifest = _manifest(package)
    _must_be(environment.MODEL, model, manifest.model)
    _must_be(environment.VERSION, environ[environment.VERSION], str(manifest.version))
    _digest(environ).must_equal(manifest.digest, what=f"the artifact of {manifest.ref}")
    threads = threads_for(int(environ.get(MEMORY_VARIABLE) or 0))
    predictor = Predictor.load(package / environment.FILES_FOLDER, manifest, threads=threads)
    return Served(manifest, predictor, Signature.of(manifest.inputs, manifest.outputs))


def _required(environ: Mapping[str, str], name: str) -> str:
    if value := environ.get(name):
        return value
    raise IntegrityError(f"the environment variable `{name}` is not set")


def _digest(environ: Mapping[str, str]) -> Digest:
    """The digest as people write it, ``sha256:…``, or its 64 characters alone."""
    return Digest(_required(environ, environment.DIGEST).removeprefix("sha256:"))


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
        return Manifest.from_json((package / environment.MANIFEST_FILE).read_bytes())
    except OSError as error:
        raise IntegrityError("the model layer's manifest cannot be read") from error
