"""HTTP on one port: SageMaker's contract, the protocol's REST routes, and ``/metrics``. Plain ASGI.

No framework: a server answers one version of one model, so the paths are known when it starts and are
looked up whole. FastAPI is imported for the OpenAPI page only, when somebody asks for it.

SageMaker hands neither request nor answer headers through, ``Content-Type`` and its own custom attributes
aside. So ``/invocations`` also takes the length of the JSON as Triton's SageMaker images do, in the content
type, and says the version in the custom attributes.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any

import orjson

from functions import server_metadata
from functions.endpoint.batcher import Waiting
from functions.endpoint.errors import DrainingError, NotServingError
from functions.endpoint.health import Health, State
from functions.endpoint.metrics import CONTENT_TYPE, Metrics
from functions.endpoint.service import EndpointService
from functions.endpoint.statuses import HTTP, outcome_of
from functions.inference.predictor import BadInputError
from functions.inference.request_log import INTERNAL_ERROR, RequestLog, cut_prefix
from functions.protocol.answers import Encoded
from functions.protocol.errors import ProtocolError, TooLargeError
from functions.protocol.headers import JSON_LENGTH, json_length

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]

_JSON = (b"content-type", b"application/json")
_BYTES = (b"content-type", b"application/octet-stream")
_CLOSE = (b"connection", b"close")

_TRITON_TYPE = "application/vnd.sagemaker-triton.binary+json;json-header-size="
_TRITON_SIZE = re.compile(rb"^application/vnd\.sagemaker-triton\.binary\+json; *json-header-size=(\d{1,15})$")
_ATTRIBUTES = b"x-amzn-sagemaker-custom-attributes"

_BODY_HEADERS = frozenset({b"inference-header-content-length", b"content-encoding"})

_DIGITS = re.compile(r"[0-9]{1,15}")

_MODEL_PATH = re.compile(
    r"/v2/models/(?P<model>[^/]+)(?:/versions/(?P<version>[^/]+))?(?P<call>/ready|/infer)?"
)

WATCH_EVERY_S = 0.1
"""Who waits longer than this is looked after: if the caller has gone, the request leaves the queue."""


class Gone(Exception):  # noqa: N818 - it is no error
    """The caller hung up before its request was complete."""


class HttpApp:
    """The ASGI app. It answers from the first moment on; ``serve`` gives it the model once that is loaded."""

    def __init__(
        self,
        health: Health,
        metrics: Metrics,
        log: RequestLog,
        arriving: Callable[[], int] = lambda: 1,
    ) -> None:
        """``arriving`` counts the requests that the HTTP server has begun to read, this one included."""
        self._arriving = arriving
        self._health = health
        self._metrics = metrics
        self._log = log
        self._service: EndpointService | None = None
        self._framework: Any = None
        self._infer_paths: dict[str, bool] = {}
        self._model_paths: dict[str, Callable[[], dict[str, Any]]] = {}
        self._answer_headers: Headers = []
        self._attributes = b""
        self._waiting: dict[Waiting, Receive] = {}
        self._watchers: set[asyncio.Task[None]] = set()
        self.open = 0
        metrics.watch_open(lambda: self.open)

    def serve(self, service: EndpointService) -> None:
        """Answer for this model from now on."""
        self._service = service
        served = service.loaded
        self._answer_headers = [(name.encode(), value.encode()) for name, value in served.headers.items()]
        self._attributes = ";".join(f"{name}={value}" for name, value in served.headers.items()).encode()
        model, version = served.model, str(served.manifest.version)
        self._infer_paths = {"/invocations": True}
        for path in (f"/v2/models/{model}", f"/v2/models/{model}/versions/{version}"):
            self._infer_paths[f"{path}/infer"] = False
            self._model_paths[path] = lambda: service.metadata(model)
            self._model_paths[f"{path}/ready"] = lambda: {"name": model, "ready": True}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        path = scope["path"]
        by_sagemaker = self._infer_paths.get(path)
        if by_sagemaker is None:
            path = cut_prefix(path)
            by_sagemaker = self._infer_paths.get(path)
        if by_sagemaker is not None and scope["method"] == "POST":
            await self._infer(scope, receive, send, by_sagemaker)
        else:
            await self._other(scope, receive, send, path)

    async def _infer(self, scope: Scope, receive: Receive, send: Send, by_sagemaker: bool) -> None:
        started = time.perf_counter()
        self.open += 1
        status = 499
        try:
            try:
                encoded = await self._inferred(scope["headers"], receive, by_sagemaker)
                status = 200
            except (ProtocolError, BadInputError) as error:
                status, encoded = HTTP[type(error)], _error(str(error))
            except Gone:
                return
            except Exception as error:  # noqa: BLE001 - the last place to turn it into an answer
                status, encoded = 500, Encoded(INTERNAL_ERROR)
                self.failed(error, started)
            await _send(send, status, encoded.body, self._headers_of(encoded, by_sagemaker))
        finally:
            self.open -= 1
            outcome = "cancelled" if status == 499 else outcome_of(status)
            self._metrics.finished(outcome, time.perf_counter() - started)

    async def _inferred(self, headers: Headers, receive: Receive, by_sagemaker: bool) -> Encoded:
        service = self._service
        if service is None or self._health.state is not State.READY:
            raise self._unavailable()
        length = _json_length(headers, by_sagemaker)
        request = service.read(await _body(receive, service), length)
        outputs = service.at_once(request, company=self._arriving() > 1)
        if outputs is not None:
            return service.write(request, outputs)
        waiting = service.begin(request)
        self._waiting[waiting] = receive
        try:
            outputs = await waiting.future
        except asyncio.CancelledError:
            service.batcher.withdraw(waiting)
            raise Gone from None
        finally:
            self._waiting.pop(waiting, None)
        return service.write(request, outputs)

    def failed(self, error: Exception, started: float | None = None) -> None:
        """Log what nobody expected, without what the caller sent."""
        self._log.line(
            request_id=None,
            method="POST",
            route="/v2/models/{model}/infer",
            status=500,
            started=started or time.perf_counter(),
            error=error,
        )

    def _unavailable(self) -> ProtocolError:
        if self._health.state is State.DRAINING:
            return DrainingError("this server is about to stop and takes no new requests")
        return NotServingError(f"this server is {self._health.state.value}: {self._health.reason}")

    def _headers_of(self, encoded: Encoded, by_sagemaker: bool) -> Headers:
        headers = [*self._answer_headers]
        if encoded.json_length is None:
            headers.append(_JSON)
        else:
            length = str(encoded.json_length)
            headers.append((b"inference-header-content-length", length.encode()))
            headers.append((b"content-type", (_TRITON_TYPE + length).encode()) if by_sagemaker else _BYTES)
        if by_sagemaker:
            headers.append((_ATTRIBUTES, self._attributes))
        if self._health.state is State.DRAINING:
            headers.append(_CLOSE)
        return headers

    async def _other(self, scope: Scope, receive: Receive, send: Send, path: str) -> None:
        """Everything that is not an inference."""
        method = scope["method"]
        if method == "GET" and path == "/metrics":
            await _send(send, 200, self._metrics.page(), [(b"content-type", CONTENT_TYPE.encode())])
            return
        if self._is_page(path) and method == "GET":
            await self._page(scope, receive, send, path)
            return
        headers: Headers = [*self._answer_headers, _JSON]
        try:
            status, content = self._said(method, path)
        except (ProtocolError, BadInputError) as error:
            status, content = HTTP[type(error)], {"error": str(error)}
        if status == 405:
            headers.append((b"allow", b"GET" if method == "POST" else b"POST"))
        if self._health.state is State.DRAINING:
            headers.append(_CLOSE)
        await _send(send, status, orjson.dumps(content), headers)

    def _said(self, method: str, path: str) -> tuple[int, dict[str, Any]]:
        if method == "GET" and (found := self._about_server(path)) is not None:
            return found
        if method == "GET" and (answer := self._model_paths.get(path)) is not None:
            return 200, answer()
        if path == "/ping" or self._about_server(path) is not None or path in self._model_paths:
            return 405, {"error": f"`{path}` does not take {method}"}
        if path in self._infer_paths:
            return 405, {"error": f"`{path}` does not take {method}"}
        found_path = _MODEL_PATH.fullmatch(path)
        if found_path is not None or path == "/invocations":
            if self._service is None:
                raise self._unavailable()
            if found_path is not None:
                self._service.select(found_path["model"], found_path["version"])
        return 404, {"error": f"there is no `{method} {path[:200]}` here"}

    def _about_server(self, path: str) -> tuple[int, dict[str, Any]] | None:
        health = self._health
        if path in ("/v2", "/v2/"):
            return 200, server_metadata()
        if path == "/v2/health/live":
            live = health.state is not State.BROKEN
            return (200 if live else 503), {"live": live}
        if path in ("/ping", "/v2/health/ready"):
            state: dict[str, Any] = {"live": health.state is not State.BROKEN, "ready": health.is_ready}
            if not health.is_ready:
                state |= {"state": health.state.value, "reason": health.reason}
            return (200 if health.is_ready else 503), state
        return None

    def _is_page(self, path: str) -> bool:
        service = self._service
        return service is not None and path in (
            f"/v2/models/{service.loaded.model}/docs",
            f"/v2/models/{service.loaded.model}/openapi.json",
        )

    async def _page(self, scope: Scope, receive: Receive, send: Send, path: str) -> None:
        """The OpenAPI page is the function's own."""
        if self._framework is None:
            from functions.inference.app import create_app

            assert self._service is not None
            self._framework = create_app(self._service, self._log)
        await self._framework({**scope, "path": path}, receive, send)

    async def watch(self) -> None:
        """Look after those who wait long, for as long as the server runs."""
        seen: set[Waiting] = set()
        while True:
            await asyncio.sleep(WATCH_EVERY_S)
            now = time.perf_counter()
            seen &= self._waiting.keys()
            for waiting, receive in list(self._waiting.items()):
                if waiting not in seen and now - waiting.arrived > WATCH_EVERY_S:
                    seen.add(waiting)
                    task = asyncio.create_task(self._withdraw_when_gone(waiting, receive))
                    self._watchers.add(task)
                    task.add_done_callback(self._watchers.discard)

    async def _withdraw_when_gone(self, waiting: Waiting, receive: Receive) -> None:
        # Once the body is complete, the next message is the end of the connection or of the answer.
        message = await receive()
        if message["type"] == "http.disconnect" and not waiting.future.done() and self._service is not None:
            self._service.batcher.withdraw(waiting)


async def _body(receive: Receive, service: EndpointService) -> bytes:
    message = await receive()
    if message["type"] == "http.disconnect":
        raise Gone
    if not message.get("more_body"):
        return bytes(message.get("body", b""))
    parts = [message.get("body", b"")]
    size = len(parts[0])
    while message.get("more_body"):
        message = await receive()
        if message["type"] == "http.disconnect":
            raise Gone
        part = message.get("body", b"")
        size += len(part)
        try:
            service.must_go_through(size)
        except TooLargeError:
            # What is still to come is read and dropped, or the caller would not hear the answer.
            parts.clear()
            continue
        parts.append(part)
    service.must_go_through(size)
    return b"".join(parts)


def _json_length(headers: Headers, by_sagemaker: bool) -> int | None:
    said: list[tuple[str, str]] = []
    for name, value in headers:
        if name in _BODY_HEADERS and value != b"identity":
            said.append((name.decode(), value.decode("latin-1")))
        elif by_sagemaker and name == b"content-type" and (found := _TRITON_SIZE.match(value)):
            said.append(("inference-header-content-length", found[1].decode()))
    if not said:
        return None
    if len(said) == 1 and said[0][0] == JSON_LENGTH and _DIGITS.fullmatch(said[0][1]):
        return int(said[0][1])
    return json_length(said)


def _error(message: str) -> Encoded:
    return Encoded(orjson.dumps({"error": message}))


async def _send(send: Send, status: int, body: bytes, headers: Iterable[tuple[bytes, bytes]]) -> None:
    length = (b"content-length", str(len(body)).encode())
    await send({"type": "http.response.start", "status": status, "headers": [*headers, length]})
    await send({"type": "http.response.body", "body": body})
