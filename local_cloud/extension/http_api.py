"""HTTP APIs: an address Python can reach, Amazon's errors and limits, and the access log.

Stock: ``ApiEndpoint`` is a host name that only some programs resolve; a function's error reaches the caller
as a 502 with its body; bodies of any size pass; access log settings and throttles are stored and never used.
AWS: "Troubleshooting issues with HTTP API Lambda integrations" and the AWS Lambda test tool (500
``{"message":"Internal Server Error"}``); "Quotas for HTTP API" (10 MB); "Customize HTTP API access logs" (the
variables; ``-`` for one without a value). The 413 bodies are those seen in public reports, not documented
ones. "Throttle requests to your HTTP APIs": a token bucket for each route, 429 when it is empty.
"""

from __future__ import annotations

import base64
import contextvars
import json
import os
import re
import threading
import time
from typing import Any

from ministack import app
from ministack.core import tls
from ministack.services import apigateway, apigateway_v1, cloudwatch_logs, lambda_svc
from ministack.services.cloudformation import provisioners

from local_cloud.extension.limits import REQUEST_LIMIT

BODY_LIMIT = 10 * 1024 * 1024
_JSON = {"Content-Type": "application/json"}
_VARIABLE = re.compile(r"\$context\.([A-Za-z][A-Za-z0-9_.]*)|\$\{context\.([A-Za-z][A-Za-z0-9_.]*)\}")
_BARE = re.compile(r"^/_aws/execute-api/[^/]+$")

_buckets = threading.Lock()

_in_http_api: contextvars.ContextVar[dict[str, Any] | None] = contextvars.ContextVar(
    "in_http_api", default=None
)

_apis = provisioners._RESOURCE_HANDLERS["AWS::ApiGatewayV2::Api"]
_stock_create_resource = _apis["create"]
_stock_create_api = apigateway._create_api
_stock_execute_in_scope = apigateway._handle_execute_in_scope
_stock_new_uuid = apigateway.new_uuid
_stock_proxy_response = lambda_svc.lambda_execute_result_to_api_proxy_response
_stock_execute = lambda_svc._execute_function_with_config_scope
_stock_parse_url = app._parse_execute_api_url


def endpoint(api_id: str) -> str:
    """Return the address of an API; any path and query of the API goes behind it."""
    scheme = "https" if tls.use_ssl_enabled() else "http"
    return f"{scheme}://127.0.0.1:{os.environ['GATEWAY_PORT']}/_aws/execute-api/{api_id}"


def _create_resource(logical_id: str, props: dict[str, Any], stack_name: str) -> Any:
    api_id, attributes = _stock_create_resource(logical_id, props, stack_name)
    return api_id, {**attributes, "ApiEndpoint": _readdressed(api_id)}


def _create_api(data: dict[str, Any]) -> Any:
    status, headers, body = _stock_create_api(data)
    if status == 201:
        api = json.loads(body)
        body = json.dumps({**api, "apiEndpoint": _readdressed(api["apiId"])}).encode()
    return status, headers, body


def _readdressed(api_id: str) -> str:
    api = apigateway._apis[api_id]
    if api["protocolType"] == "HTTP":
        api["apiEndpoint"] = endpoint(api_id)
    return str(api["apiEndpoint"])


def _parse_url(host: str, path: str) -> Any:
    return _stock_parse_url(host, path + "/" if _BARE.match(path) else path)


async def _execute_in_scope(
    api_id: str,
    stage: str,
    path: str,
    method: str,
    headers: dict[str, str],
    body: bytes,
    query_params: dict[str, Any],
    *args: Any,
) -> Any:
    request: dict[str, Any] = {"requestId": base64.b64encode(os.urandom(11)).decode(), "started": time.time()}
    token = _in_http_api.set(request)
    try:
        if not _may_pass(api_id, stage, path, method):
            answer = 429, dict(_JSON), b'{"message":"Too Many Requests"}'
        elif len(body or b"") > BODY_LIMIT:
            answer = 413, dict(_JSON), b'{"message":"Request Too Long"}'
        else:
            answer = await _stock_execute_in_scope(
                api_id, stage, path, method, headers, body, query_params, *args
            )
    finally:
        _in_http_api.reset(token)
    status, answer_headers, answer_body = answer
    answer_headers["apigw-requestid"] = str(request["requestId"])
    _log_access(api_id, stage, path, method, headers, request, status, answer_body)
    return status, answer_headers, answer_body


def _may_pass(api_id: str, stage: str, path: str, method: str) -> bool:
    """Take a token of the route's bucket, whose size is the route's own setting or else the stage's."""
    settings = (apigateway._stages.get(api_id) or {}).get(stage, {})
    route = str((apigateway._match_route(api_id, method, "/" + path.lstrip("/")) or {}).get("routeKey"))
    limits = (settings.get("routeSettings") or {}).get(route) or settings.get("defaultRouteSettings") or {}
    said = {name.lower(): value for name, value in limits.items()}
    bucket = {"rateLimit": said.get("throttlingratelimit"), "burstLimit": said.get("throttlingburstlimit")}
    with _buckets:
        return bool(apigateway_v1._take_token(("http", api_id, stage, route), bucket))


def _new_uuid() -> str:
    """One id per request, in the event, the log and the answer's header, as API Gateway has it."""
    request = _in_http_api.get()
    return str(request["requestId"] if request else _stock_new_uuid())


def _execute(func: dict[str, Any], event: Any) -> Any:
    request = _in_http_api.get()
    if request is None:
        return _stock_execute(func, event)
    if len(json.dumps(event, ensure_ascii=False).encode()) > REQUEST_LIMIT:
        return {
            "body": {"statusCode": 413, "headers": _JSON, "body": '{"message":"Request Entity Too Large"}'}
        }
    started = time.time()
    result = _stock_execute(func, event)
    request["integration_ms"] = int((time.time() - started) * 1000)
    if result.get("error"):
        request["error"] = json.dumps(result.get("body"))
    return result


def _proxy_response(result: dict[str, Any]) -> Any:
    if _in_http_api.get() is None or not result.get("error"):
        return _stock_proxy_response(result)
    return {"statusCode": 500, "headers": dict(_JSON), "body": '{"message":"Internal Server Error"}'}, None


def _log_access(
    api_id: str,
    stage: str,
    path: str,
    method: str,
    headers: dict[str, str],
    request: dict[str, Any],
    status: int,
    body: bytes,
) -> None:
    settings = (apigateway._stages.get(api_id) or {}).get(stage, {}).get("accessLogSettings") or {}
    if not settings.get("destinationArn") or not settings.get("format"):
        return
    route = apigateway._match_route(api_id, method, "/" + path.lstrip("/")) or {}
    now = time.gmtime(request["started"])
    values = {
        "accountId": apigateway.get_account_id(),
        "apiId": api_id,
        "domainName": headers.get("host", "-").partition(":")[0],
        "error.message": _message(status, body),
        "httpMethod": method,
        "identity.sourceIp": "127.0.0.1",
        "identity.userAgent": headers.get("user-agent"),
        "integrationErrorMessage": request.get("error"),
        "integrationLatency": request.get("integration_ms"),
        "integration.latency": request.get("integration_ms"),
        "integrationStatus": 200 if "integration_ms" in request else None,
        "integration.status": 200 if "integration_ms" in request else None,
        "path": path,
        "protocol": "HTTP/1.1",
        "requestId": request["requestId"],
        "requestTime": time.strftime("%d/%b/%Y:%H:%M:%S +0000", now),
        "requestTimeEpoch": int(request["started"]),
        "responseLatency": int((time.time() - request["started"]) * 1000),
        "responseLength": len(body),
        "routeKey": route.get("routeKey"),
        "stage": stage,
        "status": status,
    }
    _append(settings["destinationArn"], api_id, _filled(settings["format"], values))


def _message(status: int, body: bytes) -> str | None:
    return (
        json.loads(body).get("message")
        if status in (401, 403, 404, 413) and body.startswith(b'{"message"')
        else None
    )


def _filled(line: str, values: dict[str, Any]) -> str:
    def value(match: re.Match[str]) -> str:
        found = values.get(match[1] or match[2])
        return "-" if found is None else json.dumps(str(found))[1:-1]

    return _VARIABLE.sub(value, line)


def _append(destination: str, api_id: str, line: str) -> None:
    name = destination.partition(":log-group:")[2].removesuffix(":*")
    group = cloudwatch_logs._log_groups.get(name)
    if group is None:
        return
    now = int(time.time() * 1000)
    stream = group["streams"].setdefault(
        f"{api_id}-{time.strftime('%Y-%m-%d', time.gmtime())}",
        {
            "events": [],
            "uploadSequenceToken": "1",
            "creationTime": now,
            "firstEventTimestamp": None,
            "lastEventTimestamp": None,
            "lastIngestionTime": None,
        },
    )
    cloudwatch_logs._append_log_events(stream, [{"timestamp": now, "message": line, "ingestionTime": now}])


def install() -> None:
    """Replace addresses, errors, limits and logs of HTTP APIs."""
    _apis["create"] = _create_resource
    apigateway._create_api = _create_api
    apigateway._handle_execute_in_scope = _execute_in_scope
    apigateway.new_uuid = _new_uuid
    lambda_svc._execute_function_with_config_scope = _execute
    lambda_svc.lambda_execute_result_to_api_proxy_response = _proxy_response
    app._parse_execute_api_url = _parse_url
