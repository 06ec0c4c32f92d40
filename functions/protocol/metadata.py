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


def model_metadata(manifest: Manifest, limits: Mapping[str, int] | None = None) -> dict[str, Any]:
    """Describe a version as the protocol's model metadata.

    The protocol has no place for a digest, for the names of sizes that a caller may choose or for what
    limits a request, and lets servers extend objects with ``parameters``; they stand there.
    """
    return {
        "name": manifest.model,
        "versions": [str(manifest.version)],
        "platform": PLATFORMS[manifest.kind],
        "inputs": [_tensor(spec) for spec in manifest.inputs],
        "outputs": [_tensor(spec) for spec in manifest.outputs],
        "parameters": {"digest": str(manifest.digest), **(limits or {})},
    }


def _tensor(spec: TensorSpec) -> dict[str, Any]:
    tensor: dict[str, Any] = {"name": spec.name, "datatype": spec.datatype, "shape": spec.wire_shape}
    if any(isinstance(size, str) for size in spec.shape):
        tensor["parameters"] = {"symbolic_shape": ",".join(map(str, spec.shape))}
    return tensor
