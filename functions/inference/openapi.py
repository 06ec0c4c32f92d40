"""What the OpenAPI page says about inference, for the one model that is served here."""

from __future__ import annotations

import math
from typing import Any

from functions.inference.served import Served
from functions.inference.service import ModelService
from model_store.contract.tensors import DATATYPES, TensorSpec

DESCRIPTION = """The Open Inference Protocol V2, with the binary tensor data extension.

Errors are `{"error": "…"}`: 400 for a request that cannot mean anything, 404 for another model or version,
413 for more than goes through at once, 422 for a result that JSON cannot carry (ask for it as binary data),
503 before the first release, 504 for what was not computed in time.
"""

_MOST_EXAMPLE_VALUES = 64
_PARAMETERS = {"type": "object", "additionalProperties": {"type": ["string", "number", "boolean"]}}


def infer_operation(service: ModelService) -> dict[str, Any]:
    """The request and the answers of ``infer``, with the golden sample as an example that works."""
    request: dict[str, Any] = {"schema": _request_schema(service)}
    if (example := _example(service)) is not None:
        request["example"] = example
    binary = {"schema": {"type": "string", "format": "binary"}}
    error = {"application/json": {"schema": _object({"error": {"type": "string"}}, "error")}}
    return {
        "requestBody": {
            "required": True,
            "content": {"application/json": request, "application/octet-stream": binary},
        },
        "responses": {
            "200": {
                "description": "The outputs",
                "content": {
                    "application/json": {"schema": _answer_schema()},
                    "application/octet-stream": binary,
                },
            },
            **{
                str(status): {"description": words, "content": error}
                for status, words in (
                    (400, "The request cannot mean anything for this model"),
                    (404, "Another model or version is served here"),
                    (413, "More bytes, rows or work than go through at once"),
                    (422, "The result is NaN or infinity, which JSON cannot carry"),
                    (503, "No version is released yet"),
                    (504, "An ordinary request was not computed in time"),
                )
            },
        },
    }


def add_uploads(schema: dict[str, Any], service: ModelService) -> None:
    """Describe the hand-off where the model has one: where an upload is asked for, and how it is named.

    These calls are answered before the framework (``functions.inference.handoff``), which so knows nothing
    of them by itself.
    """
    most = service.limits.handoff_max_bytes
    if most is None:
        return
    error = {"application/json": {"schema": _object({"error": {"type": "string"}}, "error")}}
    number, text = {"type": "integer", "minimum": 1}, {"type": "string"}
    answer = _object(
        {
            "input_ref": {
                **text,
                "description": "Names the upload in `parameters.input_ref` of an inference",
            },
            "method": {"type": "string", "const": "PUT"},
            "url": {**text, "format": "uri"},
            "headers": {"type": "object", "additionalProperties": text},
            "url_expires_s": number,
            "upload_expires_s": number,
        },
        "input_ref",
        "method",
        "url",
        "headers",
    )
    operation = {
        "tags": ["model"],
        "summary": "Ask where to put a request that Lambda does not carry",
        "description": (
            "Put what would have been the body of an inference at `url`, with `headers`, and infer with "
            '`{"parameters": {"input_ref": …, "input_header_length": …, "accept_output_url": true}}`. '
            "`input_header_length` is its `Inference-Header-Content-Length`, left out for JSON. An answer "
            "that is too large comes without outputs and with `parameters.output_url`."
        ),
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {
                    "schema": _object({"bytes": {**number, "maximum": most}}, "bytes"),
                    "example": {"bytes": min(most, 20_971_520)},
                }
            },
        },
        "responses": {
            "200": {
                "description": "An address for exactly that many bytes",
                "content": {"application/json": {"schema": answer}},
            },
            **{
                str(status): {"description": words, "content": error}
                for status, words in (
                    (400, "The body does not say how many bytes"),
                    (413, "More bytes than are taken"),
                    (503, "No version is released yet, or S3 does not answer"),
                )
            },
        },
    }
    for path, names in (
        ("/v2/models/{model}/uploads", ("model",)),
        ("/v2/models/{model}/versions/{version}/uploads", ("model", "version")),
    ):
        parameters = [{"name": name, "in": "path", "required": True, "schema": text} for name in names]
        schema["paths"][path] = {"post": {**operation, "parameters": parameters}}


def _request_schema(service: ModelService) -> dict[str, Any]:
    served = service.served
    inputs = list(served.signature.inputs.values()) if isinstance(served, Served) else []
    outputs = list(served.signature.outputs) if isinstance(served, Served) else []
    name = {"type": "string", "enum": outputs} if outputs else {"type": "string"}
    return _object(
        {
            "id": {"type": "string"},
            "parameters": _PARAMETERS,
            "inputs": {
                "type": "array",
                "items": {"oneOf": [_input_schema(spec) for spec in inputs]}
                if inputs
                else {"type": "object"},
            },
            "outputs": {
                "type": "array",
                "items": _object({"name": name, "parameters": _PARAMETERS}, "name"),
            },
        },
        "inputs",
    )


def _input_schema(spec: TensorSpec) -> dict[str, Any]:
    sizes = [
        {"type": "integer", "minimum": 0} if size < 0 else {"type": "integer", "const": size}
        for size in spec.wire_shape
    ]
    return _object(
        {
            "name": {"type": "string", "const": spec.name},
            "datatype": {"type": "string", "const": spec.datatype},
            "shape": {"type": "array", "prefixItems": sizes, "minItems": len(sizes), "maxItems": len(sizes)},
            "parameters": _PARAMETERS,
            "data": {"type": "array", "description": "Row-major, flat or nested"},
        },
        "name",
        "datatype",
        "shape",
    )


def _answer_schema() -> dict[str, Any]:
    output = _object(
        {
            "name": {"type": "string"},
            "datatype": {"type": "string", "enum": sorted(DATATYPES)},
            "shape": {"type": "array", "items": {"type": "integer"}},
            "parameters": _PARAMETERS,
            "data": {"type": "array"},
        },
        "name",
        "datatype",
        "shape",
    )
    return _object(
        {
            "model_name": {"type": "string"},
            "model_version": {"type": "string"},
            "id": {"type": "string"},
            "outputs": {"type": "array", "items": output},
        },
        "model_name",
        "outputs",
    )


def _example(service: ModelService) -> dict[str, Any] | None:
    served = service.served
    if not isinstance(served, Served):
        return None
    inputs = served.manifest.golden.inputs  # its values may stand elsewhere, its shapes are here
    if not inputs or sum(math.prod(tensor.shape) for tensor in inputs) > _MOST_EXAMPLE_VALUES:
        return None
    return {"inputs": [tensor.as_json() for tensor in served.golden().inputs]}


def _object(properties: dict[str, Any], *required: str) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(required)}
