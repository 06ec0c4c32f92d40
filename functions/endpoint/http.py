"""HTTP on one port: SageMaker's contract, the protocol's REST routes, and ``/metrics``.

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
from collections.abc import Callable, MutableMapping
from typing import Any
from urllib.parse import unquote, urlsplit

import orjson

from functions import server_metadata
from functions.endpoint.batches import Outputs
from functions.endpoint.connections import Exchange, Headers
from functions.endpoint.errors import DrainingError, NotServingError
from functions.endpoint.explanations import Explanations
from functions.endpoint.health import Health, State
from functions.endpoint.metrics import CONTENT_TYPE, Metrics
from functions.endpoint.service import EndpointService
from functions.endpoint.statuses import HTTP, outcome_of
from functions.inference.predictor import BadInputError
from functions.inference.request_log import INTERNAL_ERROR, RequestLog, cut_prefix
from functions.protocol.answers import Encoded
from functions.protocol.errors import ProtocolError, UnknownModelError
from functions.protocol.headers import JSON_LENGTH, json_length
from functions.protocol.requests import InferRequest
from functions.protocol.trace import ATTRIBUTES, CALL, EXPLAIN_CALL, sampled

Message = MutableMapping[str, Any]

_JSON = b"content-type: application/json\r\n"
_BYTES = b"content-type: application/octet-stream\r\n"
_LENGTH = b"inference-header-content-length: %d\r\n"
_ALLOW = {"GET": b"allow: POST\r\n", "POST": b"allow: GET\r\n"}
_MOST_HEADS = 1024

_TRITON_TYPE = "application/vnd.sagemaker-triton.binary+json;json-header-size="
_TRITON_SIZE = re.compile(rb"^application/vnd\.sagemaker-triton\.binary\+json; *json-header-size=(\d{1,15})$")
_ATTRIBUTES = b"x-amzn-sagemaker-custom-attributes: %b\r\n"

_BODY_HEADERS = frozenset({b"inference-header-content-length", b"content-encoding"})

_DIGITS = re.compile(r"[0-9]{1,15}")

_MODEL_PATH = re.compile(
    r"/v2/models/(?P<model>[^/]+)(?:/versions/(?P<version>[^/]+))?(?P<call>/ready|/infer|/explain)?"
)

_ATTRIBUTES_NAME = ATTRIBUTES.encode()
_WANTS_EXPLANATION = f"{CALL}={EXPLAIN_CALL}".encode()


class HttpApp:
    """What is said to each request. It answers from the first moment on; ``serve`` gives it the model once
    that is loaded."""

    def __init__(
        self,
        health: Health,
        metrics: Metrics,
        log: RequestLog,
        arriving: Callable[[], int] = lambda: 1,
        *,
        traced: bool = False,
    ) -> None:
        """``arriving`` counts the requests that the HTTP server has begun to read, this one included.

        With ``traced`` a request that was drawn to be traced gets a line of the log, once it is answered.
        """
        self._traced = traced
        self._arriving = arriving
        self._health = health
        self._metrics = metrics
        self._log = log
        self._service: EndpointService | None = None
        self._framework: Any = None
        self._infer_targets: dict[bytes, bool] = {}
        self._explain_targets: set[bytes] = set()
        self._explanations: Explanations | None = None
        self._model_paths: dict[str, Callable[[], dict[str, Any]]] = {}
        self._answer_head = b""
        self._attributes = b""
        self._heads: dict[tuple[int | None, bool], bytes] = {}
        self._pages: set[asyncio.Task[None]] = set()
        self.open = 0
        """Inferences that wait for their run or for its end."""
        metrics.watch_open(lambda: self.open)

    def serve(self, service: EndpointService, explanations: Explanations | None = None) -> None:
        """Answer for this model from now on, and explain its answers if there is what explains them."""
        self._service = service
        self._explanations = explanations
        served = service.loaded
        self._answer_head = "".join(f"{name}: {value}\r\n" for name, value in served.headers.items()).encode()
        self._attributes = ";".join(f"{name}={value}" for name, value in served.headers.items()).encode()
        model, version = served.model, str(served.manifest.version)
        self._infer_targets = {b"/invocations": True}
        for path in (f"/v2/models/{model}", f"/v2/models/{model}/versions/{version}"):
            self._infer_targets[f"{path}/infer".encode()] = False
            if explanations is not None:
                self._explain_targets.add(f"{path}/explain".encode())
            self._model_paths[path] = lambda: service.metadata(model)
            self._model_paths[f"{path}/ready"] = lambda: {"name": model, "ready": True}

    def __call__(self, exchange: Exchange) -> None:
        """Answer, now or later. Raises nothing."""
        if exchange.method == b"POST":
            by_sagemaker = self._infer_targets.get(exchange.target)
            if by_sagemaker is not None:
                self._infer(exchange, by_sagemaker)
                return
        path = _path_of(exchange.target)
        target = path.encode("utf-8", "surrogateescape")
        by_sagemaker = self._infer_targets.get(target)
        if by_sagemaker is not None and exchange.method == b"POST":
            self._infer(exchange, by_sagemaker)
        elif target in self._explain_targets and exchange.method == b"POST":
            self._explain(exchange, by_sagemaker=False)
        else:
            self._other(exchange, path)

    def _infer(self, exchange: Exchange, by_sagemaker: bool) -> None:
        if by_sagemaker and _wants_explanation(exchange.headers):
            self._explain(exchange, by_sagemaker=True)
            return
        started = time.perf_counter()
        try:
            service = self._serving()
            if exchange.body is None:
                service.must_go_through(exchange.size)
            request = service.read(exchange.body or b"", _json_length(exchange.headers, by_sagemaker))
            outputs = service.at_once(request, company=self._arriving() > 1)
            if outputs is None:
                self._begin(service, exchange, request, by_sagemaker, started)
                return
            encoded = service.write(request, outputs)
        except Exception as error:  # noqa: BLE001 - the last place to turn it into an answer
            self._refuse(exchange, error, by_sagemaker, started)
            return
        self._finish(exchange, 200, encoded, by_sagemaker, started)

    def _serving(self) -> EndpointService:
        if self._service is None or self._health.state is not State.READY:
            raise self._unavailable()
        return self._service

    def _begin(
        self,
        service: EndpointService,
        exchange: Exchange,
        request: InferRequest,
        by_sagemaker: bool,
        started: float,
    ) -> None:
        """Queue a request; the answer goes out when its run is over, if anybody still waits for it."""
        waiting = service.begin(request)
        self.open += 1
        exchange.on_gone = lambda: service.batcher.withdraw(waiting)

        def finished(future: asyncio.Future[Outputs]) -> None:
            self.open -= 1
            if future.cancelled():
                self._metrics.finished("cancelled", time.perf_counter() - started)
                return
            try:
                encoded = service.write(request, future.result())
            except Exception as error:  # noqa: BLE001 - as above
                self._refuse(exchange, error, by_sagemaker, started)
            else:
                self._finish(exchange, 200, encoded, by_sagemaker, started)

        waiting.future.add_done_callback(finished)

    def _explain(self, exchange: Exchange, *, by_sagemaker: bool) -> None:
        """Let a thread explain an inference. It is none, so the metrics of inferences do not hear of it."""
        try:
            service, explanations = self._serving(), self._explaining()
            if exchange.body is None:
                service.must_go_through(exchange.size)
            future = explanations.begin(exchange.body or b"", _json_length(exchange.headers, by_sagemaker))
        except Exception as error:  # noqa: BLE001 - the last place to turn it into an answer
            self._explained(exchange, error, by_sagemaker)
            return
        self.open += 1

        def finished(future: asyncio.Future[Encoded]) -> None:
            self.open -= 1
            if future.cancelled():
                return
            try:
                found: Encoded | Exception = future.result()
            except Exception as error:  # noqa: BLE001 - as above
                found = error
            self._explained(exchange, found, by_sagemaker)

        future.add_done_callback(finished)

    def _explaining(self) -> Explanations:
        if self._explanations is None:
            raise UnknownModelError("answers of this model are not explained here")
        return self._explanations

    def _explained(self, exchange: Exchange, found: Encoded | Exception, by_sagemaker: bool) -> None:
        status, encoded = (200, found) if isinstance(found, Encoded) else self._refusal(found, None)
        head = self._head_of(encoded, by_sagemaker)
        exchange.respond(status, head, encoded.body, close=self._health.state is State.DRAINING)

    def _refusal(self, error: Exception, started: float | None) -> tuple[int, Encoded]:
        if isinstance(error, ProtocolError | BadInputError):
            return HTTP[type(error)], _error(str(error))
        self.failed(error, started)
        return 500, Encoded(INTERNAL_ERROR)

    def _refuse(self, exchange: Exchange, error: Exception, by_sagemaker: bool, started: float) -> None:
        status, encoded = self._refusal(error, started)
        self._finish(exchange, status, encoded, by_sagemaker, started)

    def _finish(
        self, exchange: Exchange, status: int, encoded: Encoded, by_sagemaker: bool, started: float
    ) -> None:
        head = self._heads.get((encoded.json_length, by_sagemaker))
        if head is None:
            head = self._head_of(encoded, by_sagemaker)
        exchange.respond(status, head, encoded.body, close=self._health.state is State.DRAINING)
        self._metrics.finished(
            "cancelled" if exchange.gone else outcome_of(status), time.perf_counter() - started
        )
        if self._traced and (span := sampled(exchange.headers)) is not None:
            ms = round((time.perf_counter() - started) * 1000, 3)
            self._log.aside({"route": "span", **span._asdict(), "status": status, "ms": ms})

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

    def _head_of(self, encoded: Encoded, by_sagemaker: bool) -> bytes:
        """The header lines of an answer, which depend on nothing but how long its JSON is."""
        length = encoded.json_length
        if length is None:
            kind = _JSON
        elif by_sagemaker:
            kind = _LENGTH % length + f"content-type: {_TRITON_TYPE}{length}\r\n".encode()
        else:
            kind = _LENGTH % length + _BYTES
        head = self._answer_head + kind + (_ATTRIBUTES % self._attributes if by_sagemaker else b"")
        if self._service is not None and len(self._heads) < _MOST_HEADS:
            self._heads[length, by_sagemaker] = head
        return head

    def _other(self, exchange: Exchange, path: str) -> None:
        """Everything that is not an inference."""
        method = exchange.method.decode("latin-1")
        asked = "GET" if method == "HEAD" else method
        close = self._health.state is State.DRAINING
        try:
            if asked == "GET" and path == "/metrics":
                head = f"content-type: {CONTENT_TYPE}\r\n".encode()
                exchange.respond(200, head, self._metrics.page(), close=close)
                return
            if asked == "GET" and self._is_page(path):
                task = asyncio.ensure_future(self._page(exchange, path))
                self._pages.add(task)
                task.add_done_callback(self._pages.discard)
                return
            status, content = self._said(asked, path)
        except (ProtocolError, BadInputError) as error:
            status, content = HTTP[type(error)], {"error": str(error)}
        except Exception as error:  # noqa: BLE001 - the last place to turn it into an answer
            self.failed(error)
            exchange.respond(500, _JSON, INTERNAL_ERROR, close=close)
            return
        head = self._answer_head + _JSON
        if status == 405:
            head += _ALLOW["POST" if asked != "GET" and path not in self._infer_paths() else "GET"]
        exchange.respond(status, head, orjson.dumps(content), close=close)

    def _infer_paths(self) -> set[str]:
        return {target.decode() for target in (*self._infer_targets, *self._explain_targets)}

    def _said(self, method: str, path: str) -> tuple[int, dict[str, Any]]:
        if method == "GET" and (found := self._about_server(path)) is not None:
            return found
        if method == "GET" and (answer := self._model_paths.get(path)) is not None:
            return 200, answer()
        if path == "/ping" or self._about_server(path) is not None or path in self._model_paths:
            return 405, {"error": f"`{path}` does not take {method}"}
        if path in self._infer_paths():
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

    async def _page(self, exchange: Exchange, path: str) -> None:
        """The OpenAPI page is the function's own, and the only thing here that speaks ASGI."""
        heard: list[Message] = []

        async def receive() -> Message:
            return {"type": "http.request", "body": b"", "more_body": False}

        async def send(message: Message) -> None:
            heard.append(message)

        try:
            if self._framework is None:
                from functions.inference.app import create_app

                assert self._service is not None
                self._framework = create_app(self._service, self._log)
            scope = {
                "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "scheme": "http",
                "method": "GET", "path": path, "raw_path": path.encode(), "query_string": b"",
                "root_path": "", "headers": exchange.headers, "client": None, "server": None,
            }  # fmt: skip
            await self._framework(scope, receive, send)
            lines = [name + b": " + value for name, value in heard[0]["headers"] if name != b"content-length"]
            head = b"".join(line + b"\r\n" for line in lines)
            exchange.respond(heard[0]["status"], head, b"".join(part.get("body", b"") for part in heard[1:]))
        except Exception as error:  # noqa: BLE001 - the last place to turn it into an answer
            self.failed(error)
            exchange.respond(500, _JSON, INTERNAL_ERROR)


def _path_of(target: bytes) -> str:
    """The path that a request's target names, without the prefix of an alias or a stage."""
    text = target.decode("utf-8", "surrogateescape")
    if text.startswith("/"):
        path = text.partition("?")[0].partition("#")[0]
    else:
        # What a proxy is asked: a whole address.
        try:
            path = urlsplit(text).path or "/"
        except ValueError:
            path = "/"
    return cut_prefix(unquote(path, errors="replace") if "%" in path else path)


def _wants_explanation(headers: Headers) -> bool:
    return any(
        name == _ATTRIBUTES_NAME and _WANTS_EXPLANATION in value.split(b";") for name, value in headers
    )


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
