"""What this function serves: read from its environment and from the model layer, once, at start.

Everything that does not fit together raises, so that Lambda's init fails and the version never
becomes a release: a function that is unsure what it holds does not answer (law 2).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

from functions.inference.artifact import Artifact, find_artifact, required
from functions.inference.limits import MEMORY_VARIABLE
from functions.inference.predictor import Engine, Predictor, threads_for
from functions.inference.released import Unreleased as Unreleased
from functions.protocol.requests import Signature
from model_store.contract import environment
from model_store.contract.manifest import Golden, Manifest
from model_store.contract.names import check_name


class Served(NamedTuple):
    """A released version, loaded.

    ``labels`` go into every log line, ``headers`` into every answer, so that a bad prediction can be
    traced to the release that made it. ``golden`` reads the golden sample with its values.
    """

    manifest: Manifest
    predictor: Engine
    signature: Signature
    golden: Callable[[], Golden]

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


def load_served(
    environ: Mapping[str, str], *, artifact: Artifact | None = None, package: str | None = None
) -> Served | Unreleased:
    """Load what the environment names: ``artifact`` if it was found before, else it is looked for now.

    Raises ``IntegrityError`` when the environment, the manifest and the files do not all tell the same
    model, version and digest.
    """
    artifact = artifact or find_artifact(environ, package=package)
    if artifact is None:
        return Unreleased(check_name(required(environ, environment.MODEL)))
    manifest = artifact.manifest
    memory_mb = int(environ.get(MEMORY_VARIABLE) or 0)
    predictor = Predictor.load(artifact, threads=threads_for(memory_mb), memory_mb=memory_mb)
    signature = Signature.of(manifest.inputs, manifest.outputs, manifest.pictures)
    return Served(manifest, predictor, signature, artifact.golden)
