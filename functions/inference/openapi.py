"""What the OpenAPI page says about inference, for the one model that is served here."""

from __future__ import annotations

import math
from typing import Any

import orjson

from functions.inference.released import Service, Unreleased
from model_store.contract.tensors import DATATYPES, TensorSpec

DESCRIPTION = """The Open Inference Protocol V2, with the binary tensor data extension.

Errors are `{"error": "…"}`: 400 for a request that cannot mean anything, 404 for another model or version,
413 for more than goes through at once, 422 for a result that JSON cannot carry (ask for it as binary data),
429 when too many ask at once, 503 before the first release, 504 for what was not computed in time.
"""

_MOST_EXAMPLE_VALUES = 64
_MOST_EXAMPLE_BYTES = 16_384
"""A text may be a whole picture."""
_DATA = {"type": "array", "description": "Row-major, flat or nested"}
_PICTURES = {
    "type": "array",
    "description": "Each the file of a picture, JPEG or PNG, as base64; binary data carry it as it is",
    "items": {"type": "string", "contentEncoding": "base64"},
}
_PARAMETERS = {"type": "object", "additionalProperties": {"type": ["string", "number", "boolean"]}}


def infer_operation(service: Service) -> dict[str, Any]:
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
                    (429, "More requests wait than the model lets wait; try again in a moment"),
                    (503, "No version is released yet"),
                    (504, "An ordinary request was not computed in time"),
                )
            },
        },
    }


def explain_operation(service: Service) -> dict[str, Any]:
    """The request and the answers of ``explain``: those of ``infer``, with parameters of its own."""
    inferred = infer_operation(service)
    whole = {"type": "integer", "minimum": 0}
    parameters = _object(
        {
            "explain_output": {
                "type": "string",
                "description": "Which output; else the first of floats",
            },
            "explain_target": {**whole, "description": "Which of its values, row-major; else the largest"},
            "explain_baseline": {"type": "number", "default": 0, "description": "What a part is put to"},
            "explain_window": {**whole, "minimum": 1, "description": "How many neighbours are one part"},
        }
    )
    request = inferred["requestBody"]["content"]["application/json"]
    request["schema"]["properties"]["parameters"] = parameters
    inferred["responses"]["200"]["description"] = "What each value of the inputs was worth to the target"
    return inferred


def upload_operation(max_bytes: int) -> dict[str, Any]:
    """The request and the answers of ``uploads``, the way for a payload that Lambda does not carry."""
    size = {"type": "integer", "minimum": 1, "maximum": max_bytes, "description": "Of the upload, exactly"}
    place = _object(
        {
            "input_ref": {"type": "string", "description": "The infer request's parameter `input_ref`"},
            "method": {"type": "string", "const": "PUT"},
            "url": {"type": "string", "format": "uri"},
            "headers": {"type": "object", "additionalProperties": {"type": "string"}},
            "url_expires_s": {"type": "integer"},
            "upload_expires_s": {"type": "integer"},
        },
        *("input_ref", "method", "url", "headers", "url_expires_s", "upload_expires_s"),
    )
    error = {"application/json": {"schema": _object({"error": {"type": "string"}}, "error")}}
    return {
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {"schema": _object({"bytes": size}, "bytes"), "example": {"bytes": 1}}
            },
        },
        "responses": {
            "200": {"description": "Where to send it", "content": {"application/json": {"schema": place}}},
            **{
                str(status): {"description": words, "content": error}
                for status, words in (
                    (400, "The body does not say how many bytes"),
                    (404, "Another model or version is served here"),
                    (413, f"More than {max_bytes} bytes"),
                    (503, "No version is released yet"),
                )
            },
        },
    }


def _request_schema(service: Service) -> dict[str, Any]:
    served = service.served
    inputs = [] if isinstance(served, Unreleased) else list(served.manifest.inputs)
    pictures = frozenset() if isinstance(served, Unreleased) else served.manifest.pictures
    outputs = [] if isinstance(served, Unreleased) else [spec.name for spec in served.manifest.outputs]
    name = {"type": "string", "enum": outputs} if outputs else {"type": "string"}
    return _object(
        {
            "id": {"type": "string"},
            "parameters": _PARAMETERS,
            "inputs": {
                "type": "array",
                "items": {"oneOf": [_input_schema(spec, spec.name in pictures) for spec in inputs]}
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


def _input_schema(spec: TensorSpec, is_picture: bool) -> dict[str, Any]:
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
            "data": _PICTURES if is_picture else _DATA,
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


def _example(service: Service) -> dict[str, Any] | None:
    served = service.served
    if isinstance(served, Unreleased):
        return None
    inputs = served.manifest.golden.inputs  # its values may stand elsewhere, its shapes are here
    if not inputs or sum(math.prod(tensor.shape) for tensor in inputs) > _MOST_EXAMPLE_VALUES:
        return None
    example = {"inputs": [tensor.as_json() for tensor in served.golden().inputs]}
    return example if len(orjson.dumps(example)) <= _MOST_EXAMPLE_BYTES else None


def _object(properties: dict[str, Any], *required: str) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(required)}
