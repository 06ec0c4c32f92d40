"""What a permission is compared with: aliases, versions, layer versions, SSM's paths, alarms, dashboards.

Stock: every call is compared with the ARN of the function alone, so a grant on ``function:digits:live``
permits nothing; reading one layer version counts as ``ListLayers`` on the layer.
AWS: "Actions, resources, and condition keys for AWS Lambda": the resource of ``InvokeFunction`` is the
function's ARN with the qualifier that was asked for; reading a layer version is ``GetLayerVersion`` on its
ARN. AWS's notice of January 2022 (serverless-plugin-warmup#304): calls with an unqualified ARN and a
``Qualifier`` are authorised on the qualified ARN. That is done here for invoking and for deleting a version.
Stock: reading, making, moving and deleting an alias are all ``ListAliases``, so who may read may move.
AWS: each is an action of its own, named after the operation, but for ``Invoke``: ``InvokeFunction``.
Stock: ``GetParametersByPath`` is compared with ``*``. AWS ("Actions, resources, and condition keys for AWS
Systems Manager"): with the path's own ARN.
Stock: ``DeleteAlarms`` is compared with ``*``. AWS: with the ARN of each alarm; here with that of the first.
Stock: ``GetDashboard`` is compared with ``*``. AWS ("Actions, resources, and condition keys for Amazon
CloudWatch"): with the dashboard's ARN, which has no region.
Counts only where policies are enforced (the strict profile).
"""

from __future__ import annotations

import json
import re
from typing import Any
from urllib.parse import unquote

from ministack.core import iam_actions

_INVOCATION = re.compile(r"/functions/[^/]+/(?:invocations|response-streaming-invocations)$")
_FUNCTION = re.compile(r"/functions/[^/]+$")
_LAYER_VERSION = re.compile(r"/layers/(?P<layer>[^/]+)/versions/(?P<number>\d+)$")
_PARTS_OF_A_FUNCTION_ARN = 7

_NAMED_OTHERWISE = {
    "GetLayerVersionByArn": "GetLayerVersion",
    "Invoke": "InvokeFunction",
    "InvokeAsync": "InvokeFunction",
    "InvokeWithResponseStream": "InvokeFunction",
}
"""Operations whose permission has another name."""

_stock_resource = iam_actions.extract_resource_arn
_stock_action = iam_actions.extract_iam_action


def _action(service: str, method: str, path: str, headers: Any, body: bytes, query: Any) -> Any:
    if service != "lambda":
        return _stock_action(service, method, path, headers, body, query)
    operation = iam_actions._match_rest_action("lambda", method, path, query)
    if operation is None:
        return _stock_action(service, method, path, headers, body, query)
    return f"lambda:{_NAMED_OTHERWISE.get(operation, operation)}"


def _resource(
    service: str, method: str, path: str, headers: Any, body: bytes, query: Any, region: str, account: str
) -> Any:
    arn = _stock_resource(service, method, path, headers, body, query, region, account)
    if service == "ssm" and headers.get("x-amz-target", "").endswith(".GetParametersByPath"):
        path_asked = str(json.loads(body or b"{}").get("Path", "")).strip("/")
        return f"arn:aws:ssm:{region}:{account}:parameter/{path_asked}"
    if service == "monitoring" and headers.get("x-amz-target", "").endswith(".DeleteAlarms"):
        names = json.loads(body or b"{}").get("AlarmNames") or ["*"]
        return f"arn:aws:cloudwatch:{region}:{account}:alarm:{names[0]}"
    if service == "monitoring" and headers.get("x-amz-target", "").endswith(".GetDashboard"):
        name = json.loads(body or b"{}").get("DashboardName") or "*"
        return f"arn:aws:cloudwatch::{account}:dashboard/{name}"
    if service != "lambda":
        return arn
    if layer := _LAYER_VERSION.search(path):
        name = unquote(layer["layer"]).rpartition(":")[2]
        return f"arn:aws:lambda:{region}:{account}:layer:{name}:{layer['number']}"
    if not (_INVOCATION.search(path) or (method == "DELETE" and _FUNCTION.search(path))):
        return arn
    asked = (query or {}).get("Qualifier")
    qualifier = asked[0] if isinstance(asked, list) and asked else asked
    unqualified = len(arn.split(":")) == _PARTS_OF_A_FUNCTION_ARN
    return f"{arn}:{qualifier}" if qualifier and unqualified else arn


def install() -> None:
    """Compare Lambda calls with what AWS compares them with."""
    iam_actions.extract_resource_arn = _resource
    iam_actions.extract_iam_action = _action
    iam_actions._BOTOCORE_SERVICE_MAP["lambda"] = ["lambda"]
