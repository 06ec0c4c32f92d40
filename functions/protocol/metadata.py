"""Describe a version as the protocol's model metadata do. Imports no numpy: a gateway describes too."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from model_store.contract.manifest import Manifest
from model_store.contract.tensors import TensorSpec

PLATFORMS = {
    "onnx": "onnx_onnxv1",
    "torchscript": "pytorch_torchscript",
    "torch-export": "pytorch_export",
    "torch-aot": "pytorch_aotinductor",
    "safetensors": "pytorch_safetensors",
}
"""What the protocol calls a kind of artifact. The first two are names that it lists; the others follow its
form for those that it does not, ``<project>_<format>``."""


PICTURE_TYPES = "image/jpeg, image/png"
"""What the elements of an input are that are files of pictures; as base64, where JSON carries them."""


def model_metadata(manifest: Manifest, limits: Mapping[str, int] | None = None) -> dict[str, Any]:
    """Describe a version as the protocol's model metadata.

    The protocol has no place for a digest, for the names of sizes that a caller may choose or for what
    limits a request, and lets servers extend objects with ``parameters``; they stand there.
    """
    return {
        "name": manifest.model,
        "versions": [str(manifest.version)],
        "platform": PLATFORMS[manifest.kind],
        "inputs": [_tensor(spec, manifest.pictures) for spec in manifest.inputs],
        "outputs": [_tensor(spec) for spec in manifest.outputs],
        "parameters": {"digest": str(manifest.digest), **(limits or {})},
    }


def _tensor(spec: TensorSpec, pictures: frozenset[str] = frozenset()) -> dict[str, Any]:
    tensor: dict[str, Any] = {"name": spec.name, "datatype": spec.datatype, "shape": spec.wire_shape}
    parameters: dict[str, str] = {}
    if any(isinstance(size, str) for size in spec.shape):
        parameters["symbolic_shape"] = ",".join(map(str, spec.shape))
    if spec.name in pictures:
        parameters["content_type"] = PICTURE_TYPES
    return {**tensor, "parameters": parameters} if parameters else tensor
