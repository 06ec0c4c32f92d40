"""gRPC: the same calls as over HTTP, for clients that speak ``inference.GRPCInferenceService``.

A request becomes the document that its JSON form would be, and goes the same way from there: the same
checks, the same words when something is wrong. Answers carry ``raw_output_contents``, as Triton's do.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any

import grpc

from functions import server_metadata
from functions.endpoint import messages
from functions.endpoint.errors import DrainingError, NotServingError
from functions.endpoint.health import Health, State
from functions.endpoint.metrics import Metrics
from functions.endpoint.service import EndpointService
from functions.endpoint.statuses import GRPC, HTTP, outcome_of
from functions.inference.predictor import BadInputError
from functions.protocol.binary import binary_from_array
from functions.protocol.carried import to_base64
from functions.protocol.errors import BadRequestError, ProtocolError
from functions.protocol.requests import InferRequest, request_of
from functions.protocol.tensors import DATATYPES, Array, quoted

_CONTENTS = {
    "BOOL": "bool_contents",
    "UINT8": "uint_contents", "UINT16": "uint_contents", "UINT32": "uint_contents",
    "UINT64": "uint64_contents",
    "INT8": "int_contents", "INT16": "int_contents", "INT32": "int_contents", "INT64": "int64_contents",
    "FP32": "fp32_contents", "FP64": "fp64_contents", "BYTES": "bytes_contents",
}  # fmt: skip

Context = Any


class RawContents:
    """``raw_input_contents``: one piece per input, in the order of the inputs."""

    def __init__(self, pieces: Sequence[bytes]) -> None:
        self._pieces = iter(pieces)
        self.left = sum(map(len, pieces))

    def take(self, size: int, what: str) -> memoryview:
        """The next piece, whose size the document says."""
        piece = next(self._pieces, b"")
        if len(piece) != size:
            raise BadRequestError(f"{what} has {size} bytes of binary data, and {len(piece)} are there")
        self.left -= size
        return memoryview(piece)


def request_from(message: Any, service: EndpointService) -> InferRequest:
    """Read a ``ModelInferRequest``. Raises ``BadRequestError`` and nothing else."""
    raw = message.raw_input_contents
    if raw and len(raw) != len(message.inputs):
        raise BadRequestError(
            f"the request has {len(message.inputs)} inputs and {len(raw)} pieces of `raw_input_contents`"
        )
    document = {
        "id": message.id or None,
        "inputs": [
            _input(tensor, raw[position] if raw else None, service.loaded.signature.files)
            for position, tensor in enumerate(message.inputs)
        ],
        "outputs": [{"name": output.name} for output in message.outputs],
    }
    return request_of(document, service.loaded.signature, RawContents(raw) if raw else None)


def _input(tensor: Any, raw: bytes | None, files: frozenset[str]) -> dict[str, Any]:
    described = {"name": tensor.name, "datatype": tensor.datatype, "shape": list(tensor.shape)}
    if raw is not None:
        return {**described, "parameters": {"binary_data_size": len(raw)}}
    field = _CONTENTS.get(tensor.datatype)
    if field is None:
        raise BadRequestError(
            f"input {quoted(tensor.name)} is {quoted(tensor.datatype)}, which goes into `raw_input_contents`"
        )
    data = list(getattr(tensor.contents, field))
    if field == "bytes_contents":
        file = tensor.name in files
        data = [to_base64(item) if file else _text(tensor.name, item) for item in data]
    return {**described, "data": data}


def _text(name: str, item: bytes) -> str:
    try:
        return item.decode()
    except UnicodeDecodeError:
        raise BadRequestError(
            f"input {quoted(name)} has bytes that are not UTF-8: "
            "BYTES elements are text here, send other bytes as UINT8"
        ) from None


def response_of(service: EndpointService, request: InferRequest, outputs: dict[str, Array]) -> Any:
    """The ``ModelInferResponse`` for these outputs."""
    ref = service.loaded.manifest.ref
    response = messages.ModelInferResponse(
        model_name=ref.model, model_version=str(ref.version), id=request.id or ""
    )
    for name, array in outputs.items():
        response.outputs.add(name=name, datatype=DATATYPES[array.dtype], shape=array.shape)
        response.raw_output_contents.append(bytes(binary_from_array(array)))
    return response


class Rpc:
    """The service's methods. ``open`` counts what is not answered yet."""

    def __init__(
        self, service: EndpointService, health: Health, metrics: Metrics, failed: Callable[[Exception], None]
    ) -> None:
        self._service = service
        self._health = health
        self._metrics = metrics
        self._failed = failed
        self.open = 0
        self._trailer = tuple(service.loaded.headers.items())

    async def server_live(self, _request: Any, _context: Context) -> Any:
        """Live until broken."""
        return messages.ServerLiveResponse(live=self._health.state is not State.BROKEN)

    async def server_ready(self, _request: Any, _context: Context) -> Any:
        """Ready to infer."""
        return messages.ServerReadyResponse(ready=self._health.is_ready)

    async def server_metadata(self, _request: Any, _context: Context) -> Any:
        """Name, version and extensions."""
        said: dict[str, Any] = server_metadata()
        return messages.ServerMetadataResponse(
            name=said["name"], version=said["version"], extensions=said["extensions"]
        )

    async def model_ready(self, request: Any, context: Context) -> Any:
        """Say whether this model, in this version, answers here."""
        await self._must_be_served(request.name, request.version, context)
        return messages.ModelReadyResponse(ready=self._health.is_ready)

    async def model_metadata(self, request: Any, context: Context) -> Any:
        """Names, datatypes and shapes."""
        await self._must_be_served(request.name, request.version, context)
        said = self._service.metadata(request.name)
        response = messages.ModelMetadataResponse(
            name=said["name"], versions=said["versions"], platform=said["platform"]
        )
        for field in ("inputs", "outputs"):
            for tensor in said[field]:
                getattr(response, field).add(
                    name=tensor["name"], datatype=tensor["datatype"], shape=tensor["shape"]
                )
        return response

    async def model_infer(self, message: Any, context: Context) -> Any:
        """One inference."""
        context.set_trailing_metadata(self._trailer)
        response, error = await self._inferred(message)
        if error is not None:
            await context.abort(getattr(grpc.StatusCode, _code(error)), _words(error))
        return response

    async def model_stream_infer(self, stream: AsyncIterator[Any], _context: Context) -> AsyncIterator[Any]:
        """Inferences over one stream, answered in order; one that fails does not end the stream."""
        async for message in stream:
            response, error = await self._inferred(message)
            if error is not None:
                yield messages.ModelStreamInferResponse(
                    error_message=_words(error), infer_response=messages.ModelInferResponse(id=message.id)
                )
            else:
                yield messages.ModelStreamInferResponse(infer_response=response)

    async def _inferred(self, message: Any) -> tuple[Any, Exception | None]:
        started = time.perf_counter()
        outcome = "cancelled"
        self.open += 1
        try:
            response = await self._answer(message)
            outcome = "ok"
            return response, None
        except (ProtocolError, BadInputError) as error:
            outcome = outcome_of(HTTP[type(error)])
            return None, error
        except Exception as error:  # noqa: BLE001 - the last place to turn it into an answer
            outcome = "failed"
            self._failed(error)
            return None, error
        finally:
            self.open -= 1
            self._metrics.finished(outcome, time.perf_counter() - started)

    async def _answer(self, message: Any) -> Any:
        service = self._service
        service.select(message.model_name, message.model_version or None)
        if self._health.state is State.DRAINING:
            raise DrainingError("this server is about to stop and takes no new requests")
        if not self._health.is_ready:
            raise NotServingError(f"this server is {self._health.state.value}: {self._health.reason}")
        request = request_from(message, service)
        waiting = service.begin(request)
        try:
            outputs = await waiting.future
        except asyncio.CancelledError:
            service.batcher.withdraw(waiting)
            raise
        return response_of(service, request, outputs)

    async def _must_be_served(self, model: str, version: str, context: Context) -> None:
        try:
            self._service.select(model, version or None)
        except ProtocolError as error:
            await context.abort(getattr(grpc.StatusCode, _code(error)), str(error))


def _code(error: Exception) -> str:
    return GRPC.get(type(error), "INTERNAL")


def _words(error: Exception) -> str:
    if isinstance(error, ProtocolError | BadInputError):
        return str(error)
    return "the server failed on this request: its log has the details"


Method = Callable[[Any, Context], Awaitable[Any]]


async def start_server(rpc: Rpc, *, host: str, port: int, max_bytes: int) -> tuple[Any, int]:
    """Listen. Returns the server and its port."""
    methods: dict[str, tuple[Method, str]] = {
        "ServerLive": (rpc.server_live, "ServerLive"),
        "ServerReady": (rpc.server_ready, "ServerReady"),
        "ServerMetadata": (rpc.server_metadata, "ServerMetadata"),
        "ModelReady": (rpc.model_ready, "ModelReady"),
        "ModelMetadata": (rpc.model_metadata, "ModelMetadata"),
        "ModelInfer": (rpc.model_infer, "ModelInfer"),
    }
    handlers = {
        name: grpc.unary_unary_rpc_method_handler(
            method,
            request_deserializer=messages.message_class(f"{kind}Request").FromString,
            response_serializer=_to_bytes,
        )
        for name, (method, kind) in methods.items()
    }
    handlers["ModelStreamInfer"] = grpc.stream_stream_rpc_method_handler(
        rpc.model_stream_infer,
        request_deserializer=messages.ModelInferRequest.FromString,
        response_serializer=_to_bytes,
    )
    # Names and descriptions around the tensors take some bytes too.
    most = max_bytes + 65_536
    server = grpc.aio.server(
        options=[("grpc.max_receive_message_length", most), ("grpc.max_send_message_length", most)]
    )
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(messages.SERVICE, handlers),))
    bound = server.add_insecure_port(f"{host}:{port}")
    await server.start()
    return server, bound


def _to_bytes(message: Any) -> bytes:
    data: bytes = message.SerializeToString()
    return data
