"""What a served model answers to the protocol's calls, before any HTTP.

The routes in ``functions.inference.app`` are one way in. A way in that is quicker or carries no HTTP
calls the same methods.
"""

from __future__ import annotations

import json
from typing import Any

from functions.inference.served import Served, Unreleased
from functions.protocol.answers import encode_answer, model_metadata
from functions.protocol.errors import NotReadyError, TooLargeError, UnknownModelError
from functions.protocol.requests import decode_request
from functions.protocol.tensors import quoted
from model_store.contract.environment import MAX_PAYLOAD_BYTES

ENVELOPE_BYTES = 4096
"""Kept free for what surrounds a body in Lambda's payload: status, headers, braces."""

_SURELY_FITS = MAX_PAYLOAD_BYTES // 8


class ModelService:
    """The protocol's model calls. Raises ``ProtocolError`` and ``BadInputError``, and is safe to repeat."""

    def __init__(
        self, served: Served | Unreleased, *, max_body_bytes: int = MAX_PAYLOAD_BYTES - ENVELOPE_BYTES
    ) -> None:
        self._served = served
        self._max_body_bytes = max_body_bytes

    def is_ready(self) -> bool:
        return isinstance(self._served, Served)

    def select(self, model: str | None = None, version: str | None = None) -> Served:
        """The served version, if it is the one that the caller names; nothing named is whatever is served."""
        if model is not None and model != self._served.model:
            raise UnknownModelError(
                f"no model {quoted(model)} is served here, this is `{self._served.model}`"
            )
        if isinstance(self._served, Unreleased):
            raise NotReadyError(f"no version of {self._served.model} is released yet")
        live = self._served.manifest.version
        if version is not None and version != str(live):
            raise UnknownModelError(
                f"version {quoted(version)} of {self._served.model} is not served here, version {live} is"
            )
        return self._served

    def metadata(self, model: str, version: str | None = None) -> dict[str, Any]:
        return model_metadata(self.select(model, version).manifest)

    def infer(self, body: bytes, model: str, version: str | None = None) -> bytes:
        """Answer one inference request, JSON to JSON."""
        served = self.select(model, version)
        if len(body) > self._max_body_bytes:
            raise TooLargeError(
                f"the body has {len(body)} bytes, and at most {self._max_body_bytes} go through here"
            )
        request = decode_request(body, served.signature)
        outputs = served.predictor(request.inputs, request.outputs)
        answer = encode_answer(served.manifest.ref, outputs, id_=request.id)
        if len(answer) > _SURELY_FITS and (size := _payload_bytes(answer)) > self._max_body_bytes:
            raise TooLargeError(
                f"the answer has {size} bytes, and at most {self._max_body_bytes} go through here: "
                "send fewer rows at once or ask for fewer `outputs`"
            )
        return answer


def _payload_bytes(answer: bytes) -> int:
    """Bytes that an answer takes in Lambda's own JSON, where it travels as an escaped string.

    Above the limit Lambda fails the invocation, and the caller would see a 500 for a request that was fine.
    """
    return len(json.dumps(answer.decode()))
