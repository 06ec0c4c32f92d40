"""``aws lambda invoke`` with a plain inference request, and no HTTP around it.

The event is the protocol's request. ``model_name`` and ``model_version`` may be in it, as in the
protocol's gRPC form, and have to be the ones that are served. What comes back is the protocol's answer.

A caller's mistake comes back as ``{"error": "…", "status": 400}`` and is no failure of the function:
odd requests must not trip the alarms that undo a release. The function's own failures are raised, so that
Lambda counts them, repeats an asynchronous invocation, and a state machine can catch them by type
(``NotReadyError``, ``DeadlineError``, ``FunctionFailedError``).
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import orjson

from functions.inference.doors.outcome import failed, infer, keep, write_line
from functions.inference.quick import remaining_s
from functions.inference.released import Service
from functions.inference.request_log import RequestLog
from functions.protocol.errors import BadRequestError

if TYPE_CHECKING:
    from functions.inference.capture import Recorder


def answer(
    event: dict[str, Any],
    context: object,
    service: Service,
    log: RequestLog,
    recorder: Recorder | None = None,
) -> dict[str, Any]:
    """Answer one request. Raises for what the sender should send again, for nothing else."""
    started = time.perf_counter()
    try:
        body = _body(event)
    except BadRequestError as error:
        outcome = failed(error)
    else:
        outcome = infer(
            service,
            body,
            model=event.get("model_name"),
            version=event.get("model_version"),
            remaining_s=remaining_s(context),
        )
        if recorder is not None:
            keep(recorder, outcome, getattr(context, "aws_request_id", None), body, context)
    write_line(
        log,
        outcome,
        request_id=getattr(context, "aws_request_id", None),
        door="INVOKE",
        started=started,
    )
    if outcome.is_fault:
        raise outcome.fault() from None
    answered: dict[str, Any] = orjson.loads(outcome.encoded.body)
    return answered


def _body(event: dict[str, Any]) -> bytes:
    for key in ("model_name", "model_version"):
        if not isinstance(event.get(key, ""), str):
            raise BadRequestError(f"`{key}` has to be a string")
    if _wants_binary(event):
        raise BadRequestError("binary tensor data do not go through an invocation: its answer is JSON")
    try:
        return orjson.dumps(event)
    except TypeError as error:
        raise BadRequestError(f"the event cannot be read as a request: {error}") from None


def _wants_binary(event: dict[str, Any]) -> bool:
    """Whether any output is asked for as binary data. Malformed members are the decoder's to refuse."""
    outputs = event.get("outputs")
    asked = [event.get("parameters")]
    if isinstance(outputs, list):
        asked += [item.get("parameters") for item in outputs if isinstance(item, dict)]
    return any(
        isinstance(parameters, dict)
        and (parameters.get("binary_data_output") or parameters.get("binary_data"))
        for parameters in asked
    )
