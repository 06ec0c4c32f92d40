"""Write what the protocol answers to an inference."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import orjson

from functions.protocol.binary import binary_from_array
from functions.protocol.encoded import Encoded as Encoded
from functions.protocol.tensors import DATATYPES, Array, json_from_array
from model_store.contract.names import ByVersion
<<<<<<< HEAD
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


class Encoded(NamedTuple):
    """An answer as it goes over the wire.

    ``json_length`` is set when binary data follow the JSON; it goes into the header
    ``Inference-Header-Content-Length``, and the content is then no text.
    """

    body: bytes
    json_length: int | None = None

    @property
    def is_text(self) -> bool:
        return self.json_length is None
=======
>>>>>>> heavy


def encode_answer(
    ref: ByVersion,
    outputs: Mapping[str, Array],
    *,
    id_: str | None = None,
    binary: Collection[str] = (),
) -> Encoded:
    """Write an inference answer, outputs in the given order, those named in ``binary`` as binary data.

    Raises ``UnwritableOutputError`` when a float that is to be JSON is NaN or infinite: what is written is
    always JSON.
    """
    answer: dict[str, Any] = {"model_name": ref.model, "model_version": str(ref.version)}
    if id_ is not None:
        answer["id"] = id_
    if not binary:
        answer["outputs"] = [json_from_array(name, array) for name, array in outputs.items()]
        return Encoded(orjson.dumps(answer, option=orjson.OPT_SERIALIZE_NUMPY))
    parts: list[memoryview] = []
    answer["outputs"] = [
        _binary_output(name, array, parts) if name in binary else json_from_array(name, array)
        for name, array in outputs.items()
    ]
    text = orjson.dumps(answer, option=orjson.OPT_SERIALIZE_NUMPY)
    return Encoded(b"".join([text, *parts]), len(text))


def _binary_output(name: str, array: Array, parts: list[memoryview]) -> dict[str, Any]:
    data = binary_from_array(array)
    parts.append(data)
    return {
        "name": name,
        "datatype": DATATYPES[array.dtype],
        "shape": list(array.shape),
        "parameters": {"binary_data_size": data.nbytes},
    }
<<<<<<< HEAD


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
=======
>>>>>>> heavy
