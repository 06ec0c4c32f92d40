"""What a published version of a gateway pins: one endpoint of one version of one model.

The manifest travels as the model does on Lambda, in a layer (ADR 31): tensors and digest are at hand without
a network, and cannot change under a version that is live. The artifact's files are not in it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

from functions.inference.artifact import find_manifest, golden_in, required
from functions.inference.released import Unreleased
from model_store.contract import environment
from model_store.contract.endpoints import HEAVY_TARGETS
from model_store.contract.errors import IntegrityError
from model_store.contract.manifest import Golden, Manifest
from model_store.contract.names import check_name


class Pin(NamedTuple):
    """A released version that somebody else computes.

    ``labels`` go into every log line, ``headers`` into every answer, as where a model is run here. With
    ``own_image`` a team's container answers, which names neither version nor digest: what vouches for it
    is the endpoint's name, which carries both, and the folder it was made with.
    """

    manifest: Manifest
    target: str
    endpoint: str
    golden: Callable[[], Golden]
    own_image: bool = False

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


def find_pin(environ: Mapping[str, str], *, package: str | None = None) -> Pin | Unreleased:
    """Read the environment and the layer. Raises ``IntegrityError`` where they do not tell the same.

    Before the first release there is nothing to pin.
    """
    found = find_manifest(environ, package=package)
    if found is None:
        return Unreleased(check_name(required(environ, environment.MODEL)))
    folder, manifest = found
    target = required(environ, environment.TARGET)
    if target not in HEAVY_TARGETS:
        raise IntegrityError(f"`{environment.TARGET}` is `{target}`, and no gateway stands before that")
    endpoint = required(environ, environment.ENDPOINT)
    own_image = environ.get(environment.OWN_IMAGE) == "on"
    return Pin(manifest, target, endpoint, lambda: golden_in(folder, manifest), own_image)
