"""REST APIs: an address Python can reach, limits, a firewall's rate, private addresses, and the access log.

Stock: matches resources, asks Lambda authorizers, checks keys, throttles and quotas, answers by gateway
responses. It does not know: that ``https://<id>.execute-api...`` is this cloud; access logs; bodies over
10 MB and payloads over Lambda's 6 MB; that a path of a stage's settings is written with ``~1``; which key
called, in the event; private APIs, but under the strict profile; web ACLs in front of a stage; that a body
of no content type is of ``application/json``. A function's error reaches the caller with its text.
AWS: "Quotas for REST APIs" (10 MB); "Gateway response types" (413 REQUEST_TOO_LARGE, 502 by DEFAULT_5XX for a
function that failed, 403 WAF_FILTERED); template reference, ``MethodSetting`` (``~1``); "Setting up access
logging" (the variables; ``-`` for one without a value); "Create a private REST API" (an address for each
endpoint, and nobody from elsewhere); AWS WAF, "Rate-based rule statement" (an address, five minutes).
"""

from __future__ import annotations

import base64
import contextvars
import json
import re
import time
import types
from collections import deque
from typing import Any

from ministack import app
from ministack.services import apigateway_v1, lambda_svc, waf
from ministack.services.cloudformation import changesets, engine, handlers, provisioners, stacks

from local_cloud.extension import http_api
from local_cloud.extension.limits import REQUEST_LIMIT

BODY_LIMIT = 10 * 1024 * 1024
RATE_WINDOW_S = 300.0

Answer = tuple[int, dict[str, Any], bytes]

_AWS_ADDRESS = re.compile(
    r"https://(?P<api>[0-9a-f]{8,10})(?P<through>-vpce-[0-9a-f]+)?\.execute-api\.[a-z0-9-]+\.amazonaws\.com"
    r"(?P<rest>/.*)?"
)
_THROUGH = re.compile(r"(?P<path>/_aws/execute-api/[0-9a-f]{8,10})-(?P<endpoint>vpce-[0-9a-f]+)(?P<rest>/.*)")

_in_rest_api: contextvars.ContextVar[dict[str, Any] | None] = contextvars.ContextVar(
    "in_rest_api", default=None
)
_endpoint: contextvars.ContextVar[str | None] = contextvars.ContextVar("endpoint", default=None)

_seen: dict[tuple[str, str], deque[float]] = {}
"""When requests came, by web ACL and address."""

_stages = provisioners._RESOURCE_HANDLERS["AWS::ApiGateway::Stage"]
_stock_create_stage = _stages["create"]
_stock_update_stage = _stages["update"]
_stock_resolve = engine._resolve_refs
_stock_settings = provisioners._apigw_method_settings
_stock_execute_in_scope = apigateway_v1._handle_execute_in_scope
_stock_match = apigateway_v1._execute_in_scope
_stock_event = apigateway_v1._build_lambda_event_v1
_stock_proxy = apigateway_v1._invoke_lambda_proxy_v1
_stock_new_uuid = apigateway_v1.new_uuid
# Theirs are in place by then: what is no REST API's goes on to them.
_stock_execute = http_api._execute
_stock_parse_url = http_api._parse_url


def _resolve(value: Any, *args: Any) -> Any:
    resolved = _stock_resolve(value, *args)
    found = _AWS_ADDRESS.fullmatch(resolved) if isinstance(resolved, str) else None
    if found is None or apigateway_v1.find_api_scope(found["api"]) is None:
        return resolved
    return f"{http_api.endpoint(found['api'])}{found['through'] or ''}{found['rest'] or ''}"


def _parse_url(host: str, path: str) -> Any:
    through = _THROUGH.fullmatch(path)
    _endpoint.set(through["endpoint"] if through else None)
    return _stock_parse_url(host, through["path"] + through["rest"] if through else path)


def _method_settings(raw: Any) -> Any:
    if isinstance(raw, list):
        raw = [{**one, "ResourcePath": _decoded(one.get("ResourcePath", "/*"))} for one in raw]
    return _stock_settings(raw)


def _decoded(path: str) -> str:
    return path.removeprefix("/").replace("~1", "/") if "~1" in path else path


def _create_stage(logical_id: str, props: dict[str, Any], stack_name: str) -> Any:
    made = _stock_create_stage(logical_id, props, stack_name)
    _keep_log_settings(props)
    return made


def _update_stage(physical_id: str, old: dict[str, Any], props: dict[str, Any], stack_name: str) -> Any:
    made = _stock_update_stage(physical_id, old, props, stack_name)
    _keep_log_settings(props)
    return made


def _keep_log_settings(props: dict[str, Any]) -> None:
    said = props.get("AccessLogSetting") or {}
    stage = apigateway_v1._stages_v1[props["RestApiId"]][props["StageName"]]
    stage["accessLogSettings"] = {"destinationArn": said.get("DestinationArn"), "format": said.get("Format")}


async def _execute_in_scope(
    api_id: str,
    stage: str,
    method: str,
    path: str,
    headers: dict[str, Any],
    body: bytes,
    query_params: dict[str, Any],
    account: str,
    region: str,
) -> Answer:
    request: dict[str, Any] = {"requestId": str(_stock_new_uuid()), "started": time.time()}
    token = _in_rest_api.set(request)
    try:
        answer: Answer = await _stock_execute_in_scope(
            api_id, stage, method, path, headers, body, query_params, account, region
        )
    finally:
        _in_rest_api.reset(token)
    status, said, content = answer
    said.setdefault("x-amzn-requestid", request["requestId"])
    if request.get("failed"):
        status = 502
    _log_access(api_id, stage, method, path, headers, request, status, content)
    return status, said, content


async def _execute(request: dict[str, Any], api_id: str, stage_name: str, *args: Any) -> Any:
    """What stands before the stage, in API Gateway's order: network, firewall, size; then the stage."""
    method, path, headers, body = args[0], args[1], args[2], args[3]
    stage = apigateway_v1._stages_v1.get(api_id, {}).get(stage_name)
    mine = _in_rest_api.get()
    if stage is not None and mine is not None:
        request["stage"] = stage
        mine["request"] = request
        error = _refused_before(api_id, stage_name, len(body or b""))
        if error is not None:
            mine["refused_as"] = error.response_type
            return error
    answer = await _stock_match(request, api_id, stage_name, *args)
    if mine is not None and isinstance(answer, apigateway_v1._GatewayError):
        mine["refused_as"] = answer.response_type
        mine["message"] = answer.message
    if mine is not None:
        mine["key"] = _key_id(headers)
        mine["path"], mine["method"] = path, method
    return answer


def _refused_before(api_id: str, stage_name: str, size: int) -> Any:
    through = _endpoint.get()
    if not _lets_through(apigateway_v1._rest_apis.get(api_id) or {}, through):
        return apigateway_v1._gw_error("ACCESS_DENIED", "User: anonymous is not authorized: explicit deny")
    if _is_one_too_many(api_id, stage_name):
        return apigateway_v1._gw_error("WAF_FILTERED", "Forbidden")
    if size > BODY_LIMIT:
        return apigateway_v1._gw_error("REQUEST_TOO_LARGE", "Request Too Long")
    return None


def _lets_through(api: dict[str, Any], endpoint: str | None) -> bool:
    """Whether a private API is asked through an endpoint that its policy does not deny."""
    said = api.get("endpointConfiguration") or {}
    if "PRIVATE" not in (said.get("types") or said.get("Types") or []):
        return endpoint is None
    policy = api.get("policy") or {}
    policy = json.loads(policy) if isinstance(policy, str) else policy
    for statement in policy.get("Statement", []):
        wanted = ((statement.get("Condition") or {}).get("StringNotEquals") or {}).get("aws:SourceVpce")
        if statement.get("Effect") == "Deny" and wanted is not None:
            return endpoint in ([wanted] if isinstance(wanted, str) else wanted)
    return endpoint is not None


def _is_one_too_many(api_id: str, stage_name: str) -> bool:
    acl = _acl_before(f":/restapis/{api_id}/stages/{stage_name}")
    if acl is None:
        return False
    limits = [
        rule["Statement"]["RateBasedStatement"]["Limit"]
        for rule in acl.get("Rules", [])
        if "RateBasedStatement" in rule.get("Statement", {}) and "Block" in rule.get("Action", {})
    ]
    came = _seen.setdefault((acl["ARN"], "127.0.0.1"), deque())
    now = time.monotonic()
    while came and came[0] < now - RATE_WINDOW_S:
        came.popleft()
    came.append(now)
    return any(len(came) > int(limit) for limit in limits)


def _acl_before(resource: str) -> dict[str, Any] | None:
    arn = next((acl for stage, acl in waf._associations.items() if stage.endswith(resource)), None)
    return next((acl for acl in waf._web_acls.values() if acl["ARN"] == arn), None)


def _create_association(_logical_id: str, props: dict[str, Any], _stack_name: str) -> Any:
    waf._associations[props["ResourceArn"]] = props["WebACLArn"]
    return f"{props['WebACLArn']}|{props['ResourceArn']}", {}


def _update_association(physical_id: str, old: dict[str, Any], props: dict[str, Any], stack_name: str) -> Any:
    _delete_association(physical_id, old)
    return _create_association("", props, stack_name)


def _delete_association(_physical_id: str, props: dict[str, Any]) -> None:
    waf._associations.pop(props["ResourceArn"], None)


def _new_uuid() -> str:
    """One id per request, in the event, the log and the answer's header."""
    request = _in_rest_api.get()
    return str(request["requestId"] if request else _stock_new_uuid())


def _event(*args: Any, **kwargs: Any) -> dict[str, Any]:
    event: dict[str, Any] = _stock_event(*args, **kwargs)
    event.pop("version")
    headers, body = args[6], args[7]
    if body and "content-type" not in headers and _is_binary("application/json", kwargs):
        event |= {"body": base64.b64encode(body).decode(), "isBase64Encoded": True}
    identity = event["requestContext"]["identity"]
    request = _in_rest_api.get() or {}
    key = apigateway_v1._resolve_api_key(apigateway_v1._api_key_from_request(event["headers"]))
    if key is not None:
        identity |= {"apiKey": key["value"], "apiKeyId": key["id"]}
    request["caller"] = identity.get("userArn")
    request["principal"] = (event["requestContext"].get("authorizer") or {}).get("principalId")
    return event


def _is_binary(media_type: str, settings: dict[str, Any]) -> bool:
    return bool(apigateway_v1._media_type_matches(media_type, settings.get("binary_media_types")))


def _key_id(headers: dict[str, Any]) -> str | None:
    key = apigateway_v1._resolve_api_key(apigateway_v1._api_key_from_request(headers))
    return None if key is None else str(key["id"])


async def _proxy(*args: Any, **kwargs: Any) -> Any:
    request = _in_rest_api.get()
    if request is None:
        return await _stock_proxy(*args, **kwargs)
    request["proxying"] = True
    answer = await _stock_proxy(*args, **kwargs)
    if request.get("too_large"):
        return apigateway_v1._gw_error("REQUEST_TOO_LARGE", "Request Entity Too Large")
    if "error" in request:
        request["failed"] = True
        return apigateway_v1._gw_error("DEFAULT_5XX", "Internal server error")
    return answer


def _execute_function(func: dict[str, Any], event: Any) -> Any:
    request = _in_rest_api.get()
    if request is None or not request.get("proxying"):
        return _stock_execute(func, event)
    if len(json.dumps(event, ensure_ascii=False).encode()) > REQUEST_LIMIT:
        request["too_large"] = True
        return {"body": {"statusCode": 413, "body": ""}}
    started = time.time()
    result = _stock_execute(func, event)
    request["integration_ms"] = int((time.time() - started) * 1000)
    if result.get("error"):
        request["error"] = json.dumps(result.get("body"))
    return result


def _log_access(
    api_id: str,
    stage: str,
    method: str,
    path: str,
    headers: dict[str, Any],
    request: dict[str, Any],
    status: int,
    body: bytes | str,
) -> None:
    found = apigateway_v1._stages_v1.get(api_id, {}).get(stage, {})
    settings = found.get("accessLogSettings") or {}
    if not settings.get("destinationArn") or not settings.get("format"):
        return
    answered = 200 if "integration_ms" in request else None
    said = request.get("request") or {}
    values = {
        "accountId": apigateway_v1.get_account_id(),
        "apiId": api_id,
        "domainName": str(headers.get("host", "-")).partition(":")[0],
        "authorizer.principalId": request.get("principal"),
        "error.message": request.get("message"),
        "error.responseType": request.get("refused_as"),
        "httpMethod": method,
        "identity.apiKeyId": request.get("key"),
        "identity.sourceIp": "127.0.0.1",
        "identity.userAgent": headers.get("user-agent"),
        "identity.userArn": request.get("caller"),
        "identity.vpceId": _endpoint.get(),
        "integration.error": request.get("error"),
        "integration.latency": request.get("integration_ms"),
        "integration.integrationStatus": answered,
        "path": f"/{stage}{path}",
        "protocol": "HTTP/1.1",
        "requestId": request["requestId"],
        "requestTime": time.strftime("%d/%b/%Y:%H:%M:%S +0000", time.gmtime(request["started"])),
        "resourcePath": said.get("resource_path"),
        "responseLatency": int((time.time() - request["started"]) * 1000),
        "responseLength": len(body),
        "stage": stage,
        "status": status,
    }
    http_api._append(settings["destinationArn"], api_id, http_api._filled(settings["format"], values))


def install() -> None:
    """Complete REST APIs and what stands before them."""
    module: types.ModuleType
    for module in (engine, stacks, handlers, changesets):
        module._resolve_refs = _resolve  # type: ignore[attr-defined]
    provisioners._apigw_method_settings = _method_settings
    _stages["create"] = _create_stage
    _stages["update"] = _update_stage
    provisioners._RESOURCE_HANDLERS["AWS::WAFv2::WebACLAssociation"] = {
        "create": _create_association,
        "update": _update_association,
        "delete": _delete_association,
    }
    apigateway_v1._handle_execute_in_scope = _execute_in_scope
    apigateway_v1._execute_in_scope = _execute
    apigateway_v1._build_lambda_event_v1 = _event
    apigateway_v1._invoke_lambda_proxy_v1 = _proxy
    apigateway_v1.new_uuid = _new_uuid
    lambda_svc._execute_function_with_config_scope = _execute_function
    app._parse_execute_api_url = _parse_url
