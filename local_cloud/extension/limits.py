"""Refuse what is too large, where Lambda refuses it.

Stock: payloads and direct uploads of any size are accepted; packages that come through CloudFormation are not
measured.
AWS: "Lambda quotas": 6 MB request and response (6,291,456 and 6,291,556 bytes in the messages), 1 MB
asynchronous, 50 MB zipped direct upload (70,167,211 bytes of request in the message), 262,144,000 bytes
unzipped with all layers.
"""

from __future__ import annotations

import json
import re
from typing import Any

from ministack.services import lambda_svc
from ministack.services.cloudformation import provisioners

REQUEST_LIMIT = 6_291_456
ASYNC_LIMIT = 1_048_576
UPLOAD_LIMIT = 70_167_211

_INVOKE = re.compile(r"/functions/[^/]+/invocations$")
_UPLOADS = (
    ("POST", re.compile(r"^/\d{4}-\d\d-\d\d/functions/?$"), "CreateFunction"),
    ("PUT", re.compile(r"/functions/[^/]+/code$"), "UpdateFunctionCode"),
    ("POST", re.compile(r"/layers/[^/]+/versions$"), "PublishLayerVersion"),
)

_stock_handle_request = lambda_svc.handle_request
_functions = provisioners._RESOURCE_HANDLERS["AWS::Lambda::Function"]
_layers = provisioners._RESOURCE_HANDLERS["AWS::Lambda::LayerVersion"]
_stock_create_function = _functions["create"]
_stock_create_layer = _layers["create"]


async def _handle_request(
    method: str, path: str, headers: dict[str, str], body: bytes, query_params: dict[str, Any]
) -> Any:
    refusal = _too_large(method, path, headers, len(body or b""))
    if refusal:
        answer = {"Type": "User", "message": refusal}
        kind = {"Content-Type": "application/json", "x-amzn-errortype": "RequestEntityTooLargeException"}
        return 413, kind, json.dumps(answer).encode()
    return await _stock_handle_request(method, path, headers, body, query_params)


def _too_large(method: str, path: str, headers: dict[str, str], size: int) -> str | None:
    if method == "POST" and _INVOKE.search(path):
        if headers.get("x-amz-invocation-type") == "Event":
            if size > ASYNC_LIMIT:
                limit = f"(limit {ASYNC_LIMIT} bytes)"
                return f"{size} byte payload is too large for the Event invocation type {limit}"
        elif size > REQUEST_LIMIT:
            return f"Request must be smaller than {REQUEST_LIMIT} bytes for the InvokeFunction operation"
    for upload_method, pattern, operation in _UPLOADS:
        if method == upload_method and pattern.search(path) and size > UPLOAD_LIMIT:
            return f"Request must be smaller than {UPLOAD_LIMIT} bytes for the {operation} operation"
    return None


def _create_function(logical_id: str, props: dict[str, Any], stack_name: str) -> Any:
    created = _stock_create_function(logical_id, props, stack_name)
    func = lambda_svc._functions[created[0]]
    refused = lambda_svc._validate_total_unzipped_size(func["code_zip"], func["config"].get("Layers"))
    if refused:
        lambda_svc._functions.pop(created[0])
        raise ValueError(json.loads(refused[2])["message"])
    return created


def _create_layer(logical_id: str, props: dict[str, Any], stack_name: str) -> Any:
    arn, attributes = _stock_create_layer(logical_id, props, stack_name)
    layer = lambda_svc._layers[arn.split(":")[-2]]
    refused = lambda_svc._validate_unzipped_size(layer["versions"][-1]["_zip_data"])
    if refused:
        layer["versions"].pop()
        raise ValueError(json.loads(refused[2])["message"])
    return arn, attributes


def install() -> None:
    """Measure requests to Lambda, and packages that come through CloudFormation."""
    lambda_svc.handle_request = _handle_request
    _functions["create"] = _create_function
    _layers["create"] = _create_layer
