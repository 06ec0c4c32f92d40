"""Write what the protocol answers to an inference."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import orjson

from functions.protocol.binary import binary_from_array
from functions.protocol.encoded import Encoded as Encoded
from functions.protocol.encoded import Work
from functions.protocol.tensors import DATATYPES, Array, json_from_array
from model_store.contract.names import ByVersion


def encode_answer(
    ref: ByVersion,
    outputs: Mapping[str, Array],
    *,
    id_: str | None = None,
    binary: Collection[str] = (),
    parameters: Mapping[str, Any] | None = None,
    work: Work | None = None,
) -> Encoded:
    """Write an inference answer, outputs in the given order, those named in ``binary`` as binary data.

    ``work`` goes with it. Raises ``UnwritableOutputError`` when a float that is to be JSON is NaN or
    infinite: what is written is always JSON.
    """
    answer: dict[str, Any] = {"model_name": ref.model, "model_version": str(ref.version)}
    if id_ is not None:
        answer["id"] = id_
    if parameters:
        answer["parameters"] = dict(parameters)
    if not binary:
        answer["outputs"] = [json_from_array(name, array) for name, array in outputs.items()]
        return Encoded(orjson.dumps(answer, option=orjson.OPT_SERIALIZE_NUMPY), None, work)
    parts: list[memoryview] = []
    answer["outputs"] = [
        _binary_output(name, array, parts) if name in binary else json_from_array(name, array)
        for name, array in outputs.items()
    ]
    text = orjson.dumps(answer, option=orjson.OPT_SERIALIZE_NUMPY)
    return Encoded(b"".join([text, *parts]), len(text), work)


def _binary_output(name: str, array: Array, parts: list[memoryview]) -> dict[str, Any]:
    data = binary_from_array(array)
    parts.append(data)
    return {
        "name": name,
        "datatype": DATATYPES[array.dtype],
        "shape": list(array.shape),
        "parameters": {"binary_data_size": data.nbytes},
    }
