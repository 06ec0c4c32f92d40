"""The routes of a model whose endpoints answer later.

``POST …/infer`` queues every request. Who says nothing more waits for the answer as anywhere, so clients that
know nothing of this work; what is not answered by the time a function has is answered with 202. Who sends
``Prefer: respond-async`` (RFC 7240) hears 202 at once, or after the ``wait=N`` seconds that they allow. A 202
has an id, and in ``Location`` where to ask for the result: ``GET …/results/<id>``, 202 until there is one.

A request may be an upload (``functions.inference.handoff``): SageMaker reads it where it lies, up to 1 GB. A
result that Lambda does not carry is an address, and so is one that was asked for as ``accept_output_url``.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson

from functions.gateway.later import MAX_INPUT_BYTES, Lying
from functions.gateway.service import GatewayService
from functions.inference.handoff import (
    ACCEPT_OUTPUT_URL,
    ADDRESS_S,
    INPUT_REF,
    Handoff,
    caller_of,
    must_be_young,
    parameters_in,
    payload_key,
    reference_in,
)
from functions.inference.ports import Objects
from functions.inference.quick import ANY_ID, Event, Route, body_of, remaining_s
from functions.inference.released import Unreleased
from functions.protocol.encoded import Answered, Encoded
from functions.protocol.errors import TooLargeError
from functions.protocol.headers import json_length
from model_store.contract.environment import DIGEST_HEADER, MODEL_HEADER
from model_store.contract.names import ByVersion

if TYPE_CHECKING:
    from functions.inference.capture import Recorder
    from functions.inference.captured_rows import Carried

ASK_AGAIN_S = 2

_WAIT = re.compile(r"wait=\"?(\d{1,5})\"?")


class _Preferred(NamedTuple):
    """What a caller prefers: whether they take a 202 for an answer, and how long they wait before one."""

    later: bool
    wait_s: float | None


class Jobs(Handoff):
    """The hand-off of a model whose answers may come later."""

    def __init__(
        self,
        service: GatewayService,
        objects: Objects,
        *,
        bucket: str,
        recorder: Recorder | None = None,
    ) -> None:
        super().__init__(service, objects, bucket=bucket, recorder=recorder)
        self._gateway = service
        # What is uploaded is read by SageMaker, and does not go through here.
        self._max_bytes = MAX_INPUT_BYTES

    @property
    def routes(self) -> dict[tuple[str, str], Route]:
        served = self._gateway.served
        if isinstance(served, Unreleased):
            return super().routes
        place = f"/v2/models/{served.model}/results{ANY_ID}"
        return {
            **super().routes,
            ("GET", place): Route("/v2/models/{model}/results/{id}", self.result),
        }

    def infer(self, event: Event, context: object) -> Answered:
        """Queue one request, and answer it if it is answered while the caller waits."""
        end = self._gateway.end_of(remaining_s(context))
        body = body_of(event)
        length = json_length((event.get("headers") or {}).items())
        parameters = parameters_in(body, length)
        caller, preferred = caller_of(event), _preferred(event)
        payload: bytes | str
        if INPUT_REF in parameters:
            payload, length = self._upload_of(caller, parameters)
        else:
            payload = self._gateway.content_of(body)
        request_id = str((event.get("requestContext") or {}).get("requestId") or "")
        id_ = self._gateway.begin(caller, payload, length, end, request_id=request_id)
        wait_s = preferred.wait_s if preferred.later else None
        found = self._gateway.wait_for(caller, id_, end=end, wait_s=wait_s)
        if self._recorder is not None:
            asked = self._asked(payload, length, self._recorder.most_bytes)
            self._tell(self._recorder, asked, found)
        if found is None:
            return _accepted(id_, _relative(event, id_))
        return self._said(found, pointing=preferred.later or parameters.get(ACCEPT_OUTPUT_URL) is True)

    def result(self, event: Event, _context: object) -> Answered:
        """What came of a request of this caller's."""
        id_ = event["requestContext"]["http"]["path"].rpartition("/")[2]
        found = self._gateway.look(caller_of(event), id_)
        if self._recorder is not None:
            # The call that began it was kept as a request; this is its answer.
            self._tell(self._recorder, None, found)
        return _accepted(id_, id_) if found is None else self._said(found, pointing=True)

    def _upload_of(self, caller: str, parameters: dict[str, Any]) -> tuple[str, int | None]:
        """The key of the upload that a request names: there, and no older than was promised."""
        ref, length = reference_in(parameters)
        key = payload_key(self._gateway.served.model, caller, "in", ref)
        must_be_young(self._objects.look(self._bucket, key, first=0).age_s)
        return key, length

    def _tell(self, recorder: Recorder, request: Carried | None, found: Lying | None) -> None:
        """Say what was asked and answered: an event of this door's may hold neither.

        A result is found after a flip too, by a version whose rows it does not belong to.
        """
        known = found is not None and found.version == recorder.version
        answer = self._lies(found, recorder.most_bytes) if found is not None and known else None
        recorder.instead(request, answer, found.request_id if found is not None and known else None)

    def _asked(self, payload: bytes | str, length: int | None, most: int) -> Carried:
        from functions.inference.captured_rows import Half

        if isinstance(payload, bytes):
            return Half(payload, length)
        return lambda: Half(self._objects.read(self._bucket, payload, limit=most).body, length)

    def _lies(self, found: Lying, most: int) -> Carried:
        from functions.inference.captured_rows import Half

        if found.encoded is not None:
            return Half(found.encoded.body, found.json_length)
        key, length = found.key, found.json_length
        return lambda: Half(self._objects.read(self._bucket, key, limit=most).body, length)

    def _said(self, found: Lying, *, pointing: bool) -> Answered:
        """The answer, or where it lies, for a caller who knows what to do with an address.

        Its headers name the version that gave it, which may not be the one that serves by now (law 2).
        """
        ref = ByVersion(self._gateway.served.model, found.version)
        return Answered(
            self._carried(found, pointing=pointing), {MODEL_HEADER: str(ref), DIGEST_HEADER: found.digest}
        )

    def _carried(self, found: Lying, *, pointing: bool) -> Encoded:
        if found.encoded is not None:
            try:
                self._gateway.must_fit(found.encoded)
            except TooLargeError:
                if not pointing:
                    raise
            else:
                return found.encoded
        if not pointing:
            raise TooLargeError(f"the answer has {found.size} bytes, more than go through here")
        address = self._objects.download_address(self._bucket, found.key, seconds=ADDRESS_S)
        return self.pointer(address.url, found.size, found.json_length, version=found.version)


def _accepted(id_: str, where: str) -> Answered:
    said = {"id": id_, "status": "waiting", "url": where}
    return Answered(Encoded(orjson.dumps(said)), {"location": where, "retry-after": str(ASK_AGAIN_S)}, 202)


def _relative(event: Event, id_: str) -> str:
    """Where the result is going to be, from the address that was called: alias and domain stay."""
    pinned = "/versions/" in event["requestContext"]["http"]["path"]
    return f"{'../../' if pinned else ''}results/{id_}"


def _preferred(event: Event) -> _Preferred:
    """Source: RFC 7240, "Prefer Header for HTTP"; what is not understood there is left out."""
    said = ",".join(
        str(value) for name, value in (event.get("headers") or {}).items() if name.lower() == "prefer"
    )
    words = [word.strip().lower() for word in re.split("[,;]", said)]
    waits = [found[1] for found in map(_WAIT.fullmatch, words) if found]
    return _Preferred("respond-async" in words, float(waits[0]) if waits else 0.0)
