"""The HTTP skin: the protocol's routes, and the one table from errors to status codes.

=====================  ======  =====================================================================
error                  status  why
=====================  ======  =====================================================================
BadRequestError        400     the request cannot mean anything for this model
BadInputError          400     the tensors are of the right kind, and the model still refuses them
UnknownModelError      404     that model or version is not what is served here
TooLargeError          413     the request or its answer is more than Lambda carries
UnwritableOutputError  422     understood and computed; the result is NaN, which JSON cannot carry
NotReadyError          503     nothing is released yet
anything else          500     a fault of this server, never of what a caller sends
=====================  ======  =====================================================================

NaN is a 422 and not a 500 because the caller's values decide it: a 5xx would let one caller's odd
inputs trip the alarms that undo a release. It is not a 400 because the request is well formed, so the
two can be counted apart. A version that *always* answers NaN fails its golden check and is not released.

OpenAPI and the docs pages are off: they cost start-up time on every cold start.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson
from fastapi import FastAPI, Request, Response
from fastapi.telemetry import TelemetryConfig
from starlette.exceptions import HTTPException

from functions import server_metadata
from functions.inference.predictor import BadInputError
from functions.inference.request_log import RequestLog, Write
from functions.inference.served import Served, Unreleased
from functions.inference.service import ModelService
from functions.protocol.errors import (
    BadRequestError,
    NotReadyError,
    TooLargeError,
    UnknownModelError,
    UnwritableOutputError,
)
from model_store.contract.environment import DIGEST_HEADER, MODEL_HEADER

STATUS: dict[type[Exception], int] = {
    BadRequestError: 400,
    BadInputError: 400,
    UnknownModelError: 404,
    TooLargeError: 413,
    UnwritableOutputError: 422,
    NotReadyError: 503,
}

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


def create_app(
    served: Served | Unreleased, *, stage: str | None = None, write_log: Write | None = None
) -> FastAPI:
    """Build the API around what is already loaded. Requests count as metrics of ``stage``, if there is one.

    Every answer names the exact version and digest in its headers, so a bad prediction can be traced to
    the release that made it. Before the first release there is no version to name, and model routes say so.
    """
    app = FastAPI(
        docs_url=None, redoc_url=None, openapi_url=None, redirect_slashes=False, telemetry=_NO_TELEMETRY
    )
    service = ModelService(served)
    _add_server_routes(app, service)
    _add_model_routes(app, service)
    for error in STATUS:
        app.add_exception_handler(error, _refused)
    app.add_exception_handler(HTTPException, _no_such_route)
    labels, headers = _names(served)
    if stage:
        labels["stage"] = stage
    app.add_middleware(RequestLog, labels=labels, headers=headers, write=write_log)
    return app


def _names(served: Served | Unreleased) -> tuple[dict[str, str], dict[str, str]]:
    if isinstance(served, Unreleased):
        return {"model": served.model, "version": ""}, {}
    manifest = served.manifest
    return (
        {"model": manifest.model, "version": str(manifest.version)},
        {MODEL_HEADER: str(manifest.ref), DIGEST_HEADER: str(manifest.digest)},
    )


def _add_server_routes(app: FastAPI, service: ModelService) -> None:
    @app.get("/v2")
    @app.get("/v2/")
    async def metadata() -> Response:
        return _json(server_metadata())

    @app.get("/v2/health/live")
    async def live() -> Response:
        return _json({"live": True})

    # The protocol's text gives this answer a `live`, its implementations a `ready`: both are true.
    @app.get("/v2/health/ready")
    async def ready() -> Response:
        service.select()
        return _json({"live": True, "ready": True})


def _add_model_routes(app: FastAPI, service: ModelService) -> None:
    @app.get("/v2/models/{model}")
    @app.get("/v2/models/{model}/versions/{version}")
    async def metadata(model: str, version: str | None = None) -> Response:
        return _json(service.metadata(model, version))

    @app.get("/v2/models/{model}/ready")
    @app.get("/v2/models/{model}/versions/{version}/ready")
    async def ready(model: str, version: str | None = None) -> Response:
        service.select(model, version)
        return _json({"name": model, "ready": True})

    @app.post("/v2/models/{model}/infer")
    @app.post("/v2/models/{model}/versions/{version}/infer")
    async def infer(request: Request, model: str, version: str | None = None) -> Response:
        # Run here and not in a thread: a Lambda environment answers one request at a time.
        return _answer(service.infer(await request.body(), model, version))


def _refused(_: Request, error: Exception) -> Response:
    return _json({"error": str(error)}, status=STATUS[type(error)])


def _no_such_route(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    words = _WORDS.get(error.status_code, "`{method} {path}` is refused")
    text = words.format(method=request.method, path=request.url.path[:200])
    return _json({"error": text}, status=error.status_code, headers=error.headers)


def _json(
    content: dict[str, Any], *, status: int = 200, headers: Mapping[str, str] | None = None
) -> Response:
    return _answer(orjson.dumps(content), status=status, headers=headers)


def _answer(content: bytes, *, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    return Response(content, status, headers, media_type="application/json")
