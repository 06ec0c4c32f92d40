"""The protocol's model calls on a server with a queue: what ``ModelService`` answers, without blocking."""

from __future__ import annotations

from functions.endpoint.batcher import Batcher, Waiting
from functions.endpoint.batches import Work
from functions.inference.limits import Limits
from functions.inference.served import Served
from functions.inference.service import ModelService
from functions.protocol.answers import Encoded, encode_answer
from functions.protocol.errors import TooLargeError
from functions.protocol.requests import InferRequest, decode_request
from functions.protocol.tensors import Array


class EndpointService(ModelService):
    """One inference is three steps, of which the caller awaits the second: read, run, write."""

    def __init__(self, served: Served, limits: Limits, batcher: Batcher) -> None:
        super().__init__(served, limits)
        self._loaded = served
        self.batcher = batcher

    @property
    def loaded(self) -> Served:
        """What is served; an endpoint without a version does not serve."""
        return self._loaded

    def read(self, body: bytes, json_length: int | None) -> InferRequest:
        """The request that a body holds. Raises what ``decode_request`` raises, and ``TooLargeError``."""
        self.must_go_through(len(body))
        return decode_request(body, self._loaded.signature, json_length=json_length)

    def begin(self, request: InferRequest) -> Waiting:
        """Queue a request. Raises ``TooLargeError`` and ``QueueFullError``."""
        self._must_be_few(self._loaded, request)
        return self.batcher.submit(Work(request.inputs, request.outputs))

    def at_once(self, request: InferRequest, *, company: bool) -> dict[str, Array] | None:
        """The outputs at once, if nothing is in the way; ``None`` means ``begin``."""
        self._must_be_few(self._loaded, request)
        return self.batcher.at_once(Work(request.inputs, request.outputs), company=company)

    def write(self, request: InferRequest, outputs: dict[str, Array]) -> Encoded:
        """The answer's bytes. Raises ``UnwritableOutputError`` and ``TooLargeError``."""
        answer = encode_answer(self._loaded.manifest.ref, outputs, id_=request.id, binary=request.binary)
        most = self.limits.max_payload_bytes
        if len(answer.body) > most:
            raise TooLargeError(
                f"the answer has {len(answer.body)} bytes, and at most {most} go through here: "
                "send fewer rows at once or ask for fewer `outputs`"
            )
        return answer

    def must_go_through(self, size: int) -> None:
        """Refuse a body that is larger than what goes through here."""
        most = self.limits.max_payload_bytes
        if size > most:
            raise TooLargeError(f"the body has {size} bytes, and at most {most} go through here")
