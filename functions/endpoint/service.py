"""The protocol's model calls on a server with a queue: what ``ModelService`` answers, without blocking."""

from __future__ import annotations

from typing import NamedTuple

from functions.endpoint.batcher import Batcher, Waiting
from functions.endpoint.batches import Work
from functions.inference.limits import Limits
from functions.inference.served import Served
from functions.inference.service import ModelService
from functions.protocol.answers import Encoded, encode_answer
from functions.protocol.binary import array_from_binary, binary_from_array
from functions.protocol.errors import TooLargeError
from functions.protocol.requests import FLOATS, InferRequest, decode_request
from functions.protocol.tensors import DATATYPES, Array

_MOST_TEXTS = 256
_LONGEST_TEXT = 2048


class Placed(NamedTuple):
    """Where in a body the data of an input lie."""

    name: str
    datatype: str
    shape: tuple[int, ...]
    start: int
    end: int


class Known(NamedTuple):
    """A request that was read before, without its data: the same text means the same again.

    A client that sends its tensors as binary data writes the same JSON before them every time.
    """

    request: InferRequest
    layout: tuple[Placed, ...]
    size: int

    def with_data(self, body: bytes) -> InferRequest:
        """The request with the data of this body, which is checked as ever."""
        whole = memoryview(body)
        inputs = {
            each.name: array_from_binary(each.name, each.datatype, each.shape, whole[each.start : each.end])
            for each in self.layout
        }
        request = self.request
        return InferRequest(inputs, request.outputs, None, request.parameters, request.binary)


class EndpointService(ModelService):
    """One inference is three steps, of which the caller awaits the second: read, run, write."""

    def __init__(self, served: Served, limits: Limits, batcher: Batcher) -> None:
        super().__init__(served, limits)
        FLOATS.load()
        self._loaded = served
        self.batcher = batcher
        self._known: dict[bytes, Known] = {}
        self._texts: dict[tuple[object, ...], bytes] = {}

    @property
    def loaded(self) -> Served:
        """What is served; an endpoint without a version does not serve."""
        return self._loaded

    def read(self, body: bytes, json_length: int | None) -> InferRequest:
        """The request that a body holds. Raises what ``decode_request`` raises, and ``TooLargeError``."""
        self.must_go_through(len(body))
        if json_length:
            known = self._known.get(body[:json_length])
            if known is not None and known.size == len(body):
                return known.with_data(body)
        request = decode_request(body, self._loaded.signature, json_length=json_length)
        if json_length and request.id is None:
            self._remember(request, body, json_length)
        return request

    def _remember(self, request: InferRequest, body: bytes, json_length: int) -> None:
        layout: list[Placed] = []
        at = json_length
        for name, array in request.inputs.items():
            if array.dtype.kind == "O":
                return
            layout.append(Placed(name, DATATYPES[array.dtype], array.shape, at, at + array.nbytes))
            at += array.nbytes
        # Where inputs are written as JSON, the rest of the body is shorter than the arrays are.
        if at == len(body) and json_length <= _LONGEST_TEXT:
            if len(self._known) >= _MOST_TEXTS:
                self._known.clear()
            self._known[body[:json_length]] = Known(request._replace(inputs={}), tuple(layout), len(body))

    def begin(self, request: InferRequest) -> Waiting:
        """Queue a request. Raises ``TooLargeError`` and ``QueueFullError``."""
        self._must_be_few(request)
        return self.batcher.submit(Work(request.inputs, request.outputs))

    def at_once(self, request: InferRequest, *, company: bool) -> dict[str, Array] | None:
        """The outputs at once, if nothing is in the way; ``None`` means ``begin``."""
        self._must_be_few(request)
        return self.batcher.at_once(Work(request.inputs, request.outputs), company=company)

    def write(self, request: InferRequest, outputs: dict[str, Array]) -> Encoded:
        """The answer's bytes. Raises ``UnwritableOutputError`` and ``TooLargeError``."""
        if request.id is None and request.binary and len(request.binary) == len(outputs):
            answer = self._written(request, outputs)
        else:
            answer = encode_answer(self._loaded.manifest.ref, outputs, id_=request.id, binary=request.binary)
        most = self.limits.max_payload_bytes
        if len(answer.body) > most:
            raise TooLargeError(
                f"the answer has {len(answer.body)} bytes, and at most {most} go through here: "
                "send fewer rows at once or ask for fewer `outputs`"
            )
        return answer

    def _written(self, request: InferRequest, outputs: dict[str, Array]) -> Encoded:
        key = tuple([(name, array.dtype, array.shape) for name, array in outputs.items()])
        text = self._texts.get(key)
        if text is not None:
            parts = [binary_from_array(array) for array in outputs.values()]
            return Encoded(b"".join([text, *parts]), len(text))
        answer = encode_answer(self._loaded.manifest.ref, outputs, binary=request.binary)
        # How many bytes a text takes is in the JSON, and shapes do not tell it.
        if not any(array.dtype.kind == "O" for array in outputs.values()):
            if len(self._texts) >= _MOST_TEXTS:
                self._texts.clear()
            self._texts[key] = answer.body[: answer.json_length]
        return answer

    def must_go_through(self, size: int) -> None:
        """Refuse a body that is larger than what goes through here."""
        most = self.limits.max_payload_bytes
        if size > most:
            raise TooLargeError(f"the body has {size} bytes, and at most {most} go through here")
