"""What a served model answers to the protocol's calls, before any HTTP.

``functions.inference.door`` and the routes in ``functions.inference.app`` are ways in. A way in that
carries no HTTP calls the same methods.
"""

from __future__ import annotations

import math
import time
from typing import Any

from functions.inference.deadline import Pace
from functions.inference.limits import Limits
from functions.inference.released import Unreleased, selected
from functions.inference.served import Served
from functions.protocol.answers import encode_answer
from functions.protocol.carried import must_fit
from functions.protocol.encoded import Encoded, Work
from functions.protocol.errors import TooLargeError
from functions.protocol.metadata import model_metadata
from functions.protocol.requests import FLOATS, InferRequest, decode_request
from functions.protocol.tensors import Array, array_from_tensor, quoted
from model_store.contract.names import ByVersion


class ModelService:
    """The protocol's model calls. Raises ``ProtocolError`` and ``BadInputError``, and is safe to repeat."""

    def __init__(self, served: Served | Unreleased, limits: Limits | None = None) -> None:
        self._served = served
        self.limits = limits or Limits()
        self.pace = Pace(_golden_elements(served))
        self._ref = ByVersion(served.model, 0) if isinstance(served, Unreleased) else served.manifest.ref
        self.batched = _batched(served)
        """The inputs whose leading size callers choose: their rows."""

    @property
    def served(self) -> Served | Unreleased:
        return self._served

    def select(self, model: str | None = None, version: str | None = None) -> Served:
        """The served version, if it is the one that the caller names; nothing named is whatever is served."""
        return selected(self._served, model, version)

    def must_be_ready(self) -> None:
        """What is loaded can answer."""
        self.select()

    def prime(self) -> None:
        """Run the golden inputs once, if there are any.

        A SnapStart snapshot then holds a session that has allocated its memory and started its threads, and
        a model that cannot run fails here and not in front of a caller. Whether the *outputs* are the golden
        ones is the release's question, asked once per version and not at every start. The library that reads
        floats is loaded then, too.
        """
        if isinstance(self._served, Served):
            inputs = {tensor.name: array_from_tensor(tensor) for tensor in self._served.golden().inputs}
            self._served.predictor(inputs, tuple(self._served.signature.outputs))
        FLOATS.load()

    def metadata(self, model: str, version: str | None = None) -> dict[str, Any]:
        return model_metadata(self.select(model, version).manifest, self.limits.as_parameters())

    def infer(
        self,
        body: bytes | str,
        model: str,
        version: str | None = None,
        *,
        json_length: int | None = None,
        remaining_s: float | None = None,
        max_bytes: int | None = None,
    ) -> Encoded:
        """Answer one inference request.

        ``json_length`` is set when binary data follow the JSON (``functions.protocol.headers``);
        ``remaining_s`` is how long Lambda lets this request run. ``max_bytes`` bounds request and answer
        where they do not travel in Lambda's payload.
        """
        served = self.select(model, version)
        size = (
            len(body) if isinstance(body, bytes) or body.isascii() else len(body.encode("utf-8", "replace"))
        )
        most = max_bytes or self.limits.max_payload_bytes
        if size > most:
            raise TooLargeError(f"the body has {size} bytes, and at most {most} go through here")
        request = decode_request(body, served.signature, json_length=json_length)
        began = time.perf_counter()
        outputs = self.run(served, request, remaining_s)
        model_ms = (time.perf_counter() - began) * 1000
        work = Work(model_ms, self.rows_of(request), size)
        answer = encode_answer(self._ref, outputs, id_=request.id, binary=request.binary, work=work)
        if max_bytes is None:
            self.must_fit(answer)
        return answer

    def outputs(
        self, body: bytes | str, json_length: int | None, remaining_s: float | None
    ) -> dict[str, Array]:
        """The outputs that a request wants, for who compares them and sends them to nobody."""
        served = self.select()
        return self.run(served, decode_request(body, served.signature, json_length=json_length), remaining_s)

    def run(self, served: Served, request: InferRequest, remaining_s: float | None) -> dict[str, Array]:
        """The outputs that ``request`` wants, if it has no more rows and takes no more time than allowed."""
        self._must_be_few(request)
        elements = 0
        for array in request.inputs.values():
            elements += array.size
        return self.pace.run(
            lambda options: served.predictor(request.inputs, request.outputs, options=options),
            elements,
            remaining_s,
        )

    def _must_be_few(self, request: InferRequest) -> None:
        most = self.limits.max_batch
        if most is None:
            return
        for name in self.batched:
            if (rows := request.inputs[name].shape[0]) > most:
                raise TooLargeError(
                    f"input {quoted(name)} has {rows} rows, and at most {most} go through at once"
                )

    def rows_of(self, request: InferRequest) -> int:
        """How many rows a request has; 1 where callers do not choose."""
        return int(request.inputs[self.batched[0]].shape[0]) if self.batched else 1

    def must_fit(self, answer: Encoded) -> None:
        """Refuse an answer that Lambda would not carry."""
        must_fit(answer, self.limits.max_payload_bytes)


def _batched(served: Served | Unreleased) -> tuple[str, ...]:
    """A leading size that the model fixes is no number of rows."""
    if isinstance(served, Unreleased):
        return ()
    return tuple(spec.name for spec in served.signature.inputs.values() if (*spec.wire_shape, 0)[0] < 0)


def _golden_elements(served: Served | Unreleased) -> int:
    if isinstance(served, Unreleased):
        return 1
    return sum(math.prod(tensor.shape) for tensor in served.manifest.golden.inputs)
