"""The HTTP skin: every route of the protocol as FastAPI has them, and the OpenAPI page.

The calls that matter for speed never get here: ``functions.inference.quick`` answers them, and this
module is not imported. It answers the rest, and describes all of it: other models and versions, wrong
methods, paths that lead nowhere, ``GET /v2/models/<model>/docs`` and ``…/openapi.json``. Both ways call
the same methods of a ``Service`` and say errors by the same table (``functions.inference.statuses``).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson
from fastapi import FastAPI, Request, Response
from fastapi.telemetry import TelemetryConfig
from starlette.exceptions import HTTPException

from functions import VERSION, server_metadata
from functions.inference import openapi
from functions.inference.middleware import Around
from functions.inference.quick import remaining_s
from functions.inference.released import Service
from functions.inference.request_log import RequestLog
from functions.inference.statuses import STATUS
from functions.protocol.encoded import Encoded
from functions.protocol.headers import content_headers, json_length, retry_headers

# One line per request is what this function reports; spans and exporters would come on top of it, switched
# on by environment variables of no concern to it.
_NO_TELEMETRY: TelemetryConfig = {
    "tracing": False,
    "metrics": False,
    "logs": False,
    "operation_spans": False,
    "auto_configure": False,
}

_WORDS = {
    404: "there is no `{method} {path}` here",
    405: "`{path}` does not take {method}",
}


def create_app(service: Service, log: RequestLog) -> FastAPI:
    """Build the API around what is already loaded.

    Every answer names the exact version and digest in its headers, so a bad prediction can be traced to
    the release that made it. Before the first release there is no version to name, and model routes say so.
    """
    page = f"/v2/models/{service.served.model}"
    app = FastAPI(
        title=f"{service.served.model} on Switchyard",
        version=VERSION,
        description=openapi.DESCRIPTION,
        docs_url=f"{page}/docs",
        redoc_url=None,
        openapi_url=f"{page}/openapi.json",
        redirect_slashes=False,
        telemetry=_NO_TELEMETRY,
    )
    _add_server_routes(app, service)
    _add_model_routes(app, service)
    if service.limits.handoff_max_bytes is not None:
        _add_upload_routes(app, service, service.limits.handoff_max_bytes)
    if service.limits.explain_max_parts is not None:
        _add_explain_routes(app, service)
    for error in STATUS:
        app.add_exception_handler(error, _refused)
    app.add_exception_handler(HTTPException, _no_such_route)
    app.add_middleware(Around, log=log, headers=service.served.headers)
    return app


def _add_server_routes(app: FastAPI, service: Service) -> None:
    @app.get("/v2", tags=["server"], summary="Server metadata")
    @app.get("/v2/", include_in_schema=False)
    async def metadata() -> Response:
        return _json(server_metadata())

    @app.get("/v2/health/live", tags=["server"], summary="Is the server up")
    async def live() -> Response:
        return _json({"live": True})

    # The protocol's text gives this answer a `live`, its implementations a `ready`: both are true.
    @app.get("/v2/health/ready", tags=["server"], summary="Is the server ready to infer")
    async def ready() -> Response:
        service.must_be_ready()
        return _json({"live": True, "ready": True})


def _add_model_routes(app: FastAPI, service: Service) -> None:
    @app.get("/v2/models/{model}", tags=["model"], summary="Model metadata")
    @app.get("/v2/models/{model}/versions/{version}", tags=["model"], summary="Metadata of a version")
    async def metadata(model: str, version: str | None = None) -> Response:
        return _json(service.metadata(model, version))

    @app.get("/v2/models/{model}/ready", tags=["model"], summary="Is the model ready")
    @app.get("/v2/models/{model}/versions/{version}/ready", tags=["model"], summary="Is a version ready")
    async def ready(model: str, version: str | None = None) -> Response:
        service.select(model, version)
        service.must_be_ready()
        return _json({"name": model, "ready": True})

    described = openapi.infer_operation(service)

    @app.post("/v2/models/{model}/infer", tags=["model"], summary="Infer", openapi_extra=described)
    @app.post(
        "/v2/models/{model}/versions/{version}/infer",
        tags=["model"],
        summary="Infer with a version",
        openapi_extra=described,
    )
    async def infer(request: Request, model: str, version: str | None = None) -> Response:
        # Run here and not in a thread: a Lambda environment answers one request at a time.
        return _answer(
            service.infer(
                await request.body(),
                model,
                version,
                json_length=json_length(request.headers.items()),
                remaining_s=remaining_s(request.scope.get("aws.context")),
            )
        )


def _add_upload_routes(app: FastAPI, service: Service, max_bytes: int) -> None:
    """Describe the uploads of a model that hands off; its own are answered before they get here."""
    described = openapi.upload_operation(max_bytes)

    @app.post(
        "/v2/models/{model}/uploads",
        tags=["model"],
        summary="Where to send a payload that Lambda does not carry",
        openapi_extra=described,
    )
    @app.post(
        "/v2/models/{model}/versions/{version}/uploads",
        tags=["model"],
        summary="The same, for a version",
        openapi_extra=described,
    )
    async def upload(model: str, version: str | None = None) -> Response:
        service.select(model, version)
        raise HTTPException(404)


def _add_explain_routes(app: FastAPI, service: Service) -> None:
    """Describe the explanations of a model that has them; its own are answered before they get here."""
    described = openapi.explain_operation(service)

    @app.post(
        "/v2/models/{model}/explain",
        tags=["model"],
        summary="What an answer hangs on",
        openapi_extra=described,
    )
    @app.post(
        "/v2/models/{model}/versions/{version}/explain",
        tags=["model"],
        summary="The same, for a version",
        openapi_extra=described,
    )
    async def explain(model: str, version: str | None = None) -> Response:
        service.select(model, version)
        raise HTTPException(404)


def _refused(_: Request, error: Exception) -> Response:
    return _json({"error": str(error)}, status=STATUS[type(error)], headers=retry_headers(error))


def _no_such_route(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    words = _WORDS.get(error.status_code, "`{method} {path}` is refused")
    text = words.format(method=request.method, path=request.url.path[:200])
    return _json({"error": text}, status=error.status_code, headers=error.headers)


def _json(
    content: dict[str, Any], *, status: int = 200, headers: Mapping[str, str] | None = None
) -> Response:
    return _answer(Encoded(orjson.dumps(content)), status=status, headers=headers)


def _answer(encoded: Encoded, *, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    return Response(encoded.body, status, {**(headers or {}), **content_headers(encoded)})
