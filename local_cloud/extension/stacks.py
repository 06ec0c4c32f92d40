"""CloudFormation: what stacks of functions, layers, APIs and custom resources need beyond stock.

Stock: the reason a custom resource gives for its failure stands alone in the event; the next resource starts
while a function's update is still under way; ``Fn::GetAtt`` lacks some attributes; the response address of a
custom resource is a name that resolves to IPv6 first; the CDK's command line, which asks every five seconds,
waits most of them for nothing.
AWS: "crpg-ref-responses" (the wording ``Received response status [FAILED] from custom resource``);
CloudFormation waits until a function's update is ``Successful``; template reference, "Return values" of each
type. An answer to DescribeStacks may take its time: for the CDK only, it is held back until the stack has
come to rest.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs

from ministack.services import cloudformation, lambda_svc
from ministack.services.cloudformation import custom_resource, provisioners

from local_cloud.extension import versions

_HELD_BACK_S = 4.0

_stock_handle_request = cloudformation.handle_request
_stock_invoke = custom_resource.invoke_custom_resource
_functions = provisioners._RESOURCE_HANDLERS["AWS::Lambda::Function"]
_stock_update_function = _functions["update"]


def _invoke_custom_resource(*args: Any, **kwargs: Any) -> Any:
    try:
        return _stock_invoke(*args, **kwargs)
    except RuntimeError as error:
        message = f"Received response status [FAILED] from custom resource. Message returned: {error}"
        raise RuntimeError(message) from error


async def _handle_request(
    method: str, path: str, headers: dict[str, str], body: bytes, query_params: dict[str, Any]
) -> Any:
    if "aws-cdk" in headers.get("user-agent", ""):
        await _come_to_rest(parse_qs((body or b"").decode(errors="replace")))
    return await _stock_handle_request(method, path, headers, body, query_params)


async def _come_to_rest(request: dict[str, list[str]]) -> None:
    if request.get("Action") != ["DescribeStacks"] or "StackName" not in request:
        return
    name = request["StackName"][0]
    stack = cloudformation._stacks.get(name.split("/")[1] if name.startswith("arn:") else name)
    end = time.monotonic() + _HELD_BACK_S
    while stack and stack["StackStatus"].endswith("_IN_PROGRESS") and time.monotonic() < end:
        if stack["StackStatus"] == "REVIEW_IN_PROGRESS":  # a stack that is only planned stays so
            return
        await asyncio.sleep(0.02)


def _update_function(*args: Any) -> Any:
    with versions.settling_at_once():
        name, attributes = _stock_update_function(*args)
    versions.settle(name)
    return name, {**_snapstart(name), **attributes}


def _snapstart(name: str) -> dict[str, str]:
    chosen = lambda_svc._functions[name]["config"]["SnapStart"]
    return {f"SnapStartResponse.{key}": str(value) for key, value in chosen.items()}


def _with_attributes(
    stock: Callable[..., Any], attributes: Callable[[str], dict[str, str]]
) -> Callable[..., Any]:
    def handler(*args: Any, **kwargs: Any) -> Any:
        physical_id, known = stock(*args, **kwargs)
        return physical_id, {**attributes(physical_id), **known}

    return handler


_MORE_ATTRIBUTES: dict[str, Callable[[str], dict[str, str]]] = {
    "AWS::Lambda::Permission": lambda physical_id: {"Id": physical_id},
    "AWS::Lambda::Function": _snapstart,
}


def install() -> None:
    """Complete custom resources, function updates and attributes."""
    cloudformation.handle_request = _handle_request
    custom_resource._HOST = "127.0.0.1"
    custom_resource.invoke_custom_resource = _invoke_custom_resource
    for kind, attributes in _MORE_ATTRIBUTES.items():
        handlers = provisioners._RESOURCE_HANDLERS[kind]
        handlers["create"] = _with_attributes(handlers["create"], attributes)
    _functions["update"] = _update_function
