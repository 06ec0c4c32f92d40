"""Write what the protocol answers: results and metadata."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from functions.protocol.tensors import Array, json_from_array
from model_store.contract.manifest import Manifest
from model_store.contract.names import ByVersion
from model_store.contract.tensors import TensorSpec

PLATFORM = "onnxruntime_onnx"


def encode_answer(ref: ByVersion, outputs: Mapping[str, Array], *, id_: str | None = None) -> bytes:
    """Write an inference answer, outputs in the given order.

    Raises ``UnwritableOutputError`` when a float is NaN or infinite: what is written is always JSON.
    """
    answer: dict[str, Any] = {"model_name": ref.model, "model_version": str(ref.version)}
    if id_ is not None:
        answer["id"] = id_
    answer["outputs"] = [json_from_array(name, array) for name, array in outputs.items()]
    return orjson.dumps(answer, option=orjson.OPT_SERIALIZE_NUMPY)


def model_metadata(manifest: Manifest) -> dict[str, Any]:
    """Describe a version as the protocol's model metadata.

    The protocol has no place for a digest or for the names of sizes that a caller may choose, and lets
    servers extend objects with ``parameters``; they stand there as plain strings.
    """
    return {
        "name": manifest.model,
        "versions": [str(manifest.version)],
        "platform": PLATFORM,
        "inputs": [_tensor(spec) for spec in manifest.inputs],
        "outputs": [_tensor(spec) for spec in manifest.outputs],
        "parameters": {"digest": str(manifest.digest)},
    }


def _tensor(spec: TensorSpec) -> dict[str, Any]:
    tensor: dict[str, Any] = {"name": spec.name, "datatype": spec.datatype, "shape": spec.wire_shape}
    if any(isinstance(size, str) for size in spec.shape):
        tensor["parameters"] = {"symbolic_shape": ",".join(map(str, spec.shape))}
    return tensor
