"""One inference without HTTP: what came of it, and whose fault it is if nothing did."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import orjson

from functions.inference.released import Service
from functions.inference.request_log import RequestLog
from functions.inference.statuses import STATUS
from functions.protocol.encoded import Encoded
from functions.protocol.errors import ProtocolError
from model_store.contract.errors import SwitchyardError

if TYPE_CHECKING:
    from functions.inference.capture import Recorder


class FunctionFailedError(SwitchyardError):
    """Something went wrong that the sender cannot mend. The log has the details."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """An answer, or the error that there is instead, with the status it would have over HTTP."""

    status: int
    encoded: Encoded
    error: Exception | None = None

    @property
    def is_fault(self) -> bool:
        """Whether the sender is not to blame: then asking again may help, and a sender should."""
        return self.status >= 500 or self.status == 429

    def fault(self) -> Exception:
        """The error to raise for a fault; an unforeseen one without its words, which may be private."""
        if isinstance(self.error, ProtocolError):
            return self.error
        return FunctionFailedError("the function failed on this request: its log has the details")


def infer(
    service: Service,
    body: bytes | str,
    *,
    model: str | None = None,
    version: str | None = None,
    json_length: int | None = None,
    remaining_s: float | None = None,
    max_bytes: int | None = None,
) -> Outcome:
    """Answer one request; never raises."""
    try:
        model = model or service.served.model
        encoded = service.infer(
            body,
            model,
            version,
            json_length=json_length,
            remaining_s=remaining_s,
            max_bytes=max_bytes,
        )
    except Exception as error:  # noqa: BLE001 - the last place to turn it into an answer
        return failed(error)
    return Outcome(200, encoded)


def keep(
    recorder: Recorder,
    outcome: Outcome,
    request_id: object,
    body: bytes | str,
    context: object,
    *,
    json_length: int | None = None,
    own: str = "",
) -> None:
    """Let what was answered be kept. Never raises."""
    if outcome.status == 200:
        from functions.inference.captured_rows import Half

        said = Half(outcome.encoded.body, outcome.encoded.json_length)
        recorder.keep(request_id, Half(body, json_length), said, context, own=own)


def failed(error: Exception) -> Outcome:
    """What an exception comes to."""
    status = STATUS.get(type(error), 500)
    text = str(error) if status != 500 else "the function failed on this request: its log has the details"
    return Outcome(status, Encoded(orjson.dumps({"error": text, "status": status})), error)


def write_line(
    log: RequestLog, outcome: Outcome, *, request_id: object, door: str, started: float | None = None
) -> None:
    """The one log line of this request; ``door`` stands where HTTP has its method."""
    log.line(
        request_id=request_id,
        method=door,
        route="infer",
        status=outcome.status,
        started=time.perf_counter() if started is None else started,
        error=outcome.error if outcome.status == 500 else None,
        work=outcome.encoded.work,
    )
