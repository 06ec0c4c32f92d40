"""Requests that are messages in SQS: each is answered by a message in the queue of answers.

A message's body is the protocol's request as JSON, or tells of one that lies in S3 (``objects``). An
answer is the protocol's answer; its attribute ``switchyard-request`` names the message it answers. A
caller's mistake is answered with ``{"error", "status"}`` and done with: sending it again would change
nothing. What the function could not do is reported by message, so that SQS sends those again and after
its last attempt keeps them in the dead-letter queue; the others of the batch are done.

SQS delivers at least once, so an answer may come twice.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from functions.inference.doors.objects import EVENT_SOURCE, RECORD_SOURCE, ObjectDoor, announced
from functions.inference.doors.outcome import FunctionFailedError, Outcome, failed, infer, keep, write_line
from functions.inference.ports import Queue
from functions.inference.quick import remaining_s
from functions.inference.released import Service
from functions.inference.request_log import RequestLog
from functions.protocol.errors import BadRequestError, DeadlineError, TooLargeError
from model_store.contract.environment import ANSWERS_QUEUE

if TYPE_CHECKING:
    from functions.inference.capture import Recorder

MESSAGE_BYTES = 1_048_576
"""Largest message with its attributes. Source: Amazon SQS quotas, 1 MiB."""

_ATTRIBUTE_BYTES = 256

LEAST_S = 1.0
"""With less time left than this, what is left of a batch is handed back untried."""


class MessageDoor:
    """Answers batches of SQS messages, and reports which of them have no answer."""

    def __init__(
        self,
        service: Service,
        log: RequestLog,
        queue: Queue,
        *,
        queue_url: str,
        objects: ObjectDoor,
        recorder: Recorder | None = None,
    ) -> None:
        self._service = service
        self._recorder = recorder
        self._log = log
        self._queue = queue
        self._queue_url = queue_url
        self._objects = objects

    @classmethod
    def from_environment(
        cls,
        service: Service,
        log: RequestLog,
        environ: Mapping[str, str],
        queue: Queue,
        objects: ObjectDoor,
        recorder: Recorder | None = None,
    ) -> MessageDoor:
        """Read where answers go. Raises ``FunctionFailedError`` if nobody said: the batch comes again."""
        queue_url = environ.get(ANSWERS_QUEUE)
        if not queue_url:
            raise FunctionFailedError(
                f"messages come in and `{ANSWERS_QUEUE}` names no queue for their answers",
                hint="Set `queue = true` for the model in the catalog, and deploy.",
            )
        return cls(service, log, queue, queue_url=queue_url, objects=objects, recorder=recorder)

    def __call__(self, event: Mapping[str, Any], context: object) -> dict[str, Any]:
        """Answer every message; what is in ``batchItemFailures`` comes again."""
        failures: list[dict[str, str]] = []
        ordered = False
        for record in event["Records"]:
            message_id = str(record.get("messageId", ""))
            ordered = ordered or str(record.get("eventSourceARN", "")).endswith(".fifo")
            # After a failure in a first-in-first-out queue, what follows has to wait for its turn.
            if (ordered and failures) or not self._is_done(record, message_id, context):
                failures.append({"itemIdentifier": message_id})
        return {"batchItemFailures": failures}

    def _is_done(self, record: Mapping[str, Any], message_id: str, context: object) -> bool:
        started = time.perf_counter()
        try:
            body = record.get("body")
            if notified := _notification(body):
                return self._are_answered(notified, context)
            outcome = self._answered(body, context)
            if not outcome.is_fault:
                outcome = _carried(outcome)
                text = outcome.encoded.body.decode()
                self._queue.send(self._queue_url, text, answers=message_id)
                if self._recorder is not None:
                    keep(self._recorder, outcome, message_id, str(body), context)
        except Exception as error:  # noqa: BLE001 - one message must not keep the others from their turn
            outcome = failed(error)
        write_line(self._log, outcome, request_id=message_id, door="SQS", started=started)
        return not outcome.is_fault

    def _are_answered(self, notified: list[dict[str, Any]], context: object) -> bool:
        """Whether every announced object has its answer; with no time left nobody tries."""
        left = remaining_s(context)
        if left is not None and left < LEAST_S:
            return False
        outcomes = [self._objects.answer(item, context) for item in notified]
        return not any(outcome is not None and outcome.is_fault for outcome in outcomes)

    def _answered(self, body: object, context: object) -> Outcome:
        left = remaining_s(context)
        if left is not None and left < LEAST_S:
            return failed(DeadlineError("no time was left for this message"))
        if not isinstance(body, str):
            return failed(BadRequestError("the message has no body"))
        outcome = infer(self._service, body, remaining_s=left)
        if not outcome.encoded.is_text:
            return failed(BadRequestError("binary tensor data do not go through a queue: a message is text"))
        return outcome


def _carried(outcome: Outcome) -> Outcome:
    """The outcome, if a message can carry it; else the error that says so."""
    size = len(outcome.encoded.body)
    if size + _ATTRIBUTE_BYTES <= MESSAGE_BYTES:
        return outcome
    return failed(TooLargeError(f"the answer has {size} bytes, and a message carries {MESSAGE_BYTES}"))


def _notification(body: object) -> list[dict[str, Any]]:
    """The objects that S3 or EventBridge announces, if that is what a message holds."""
    if not isinstance(body, str) or not any(f'"{word}"' in body for word in (RECORD_SOURCE, EVENT_SOURCE)):
        return []
    try:
        return announced(json.loads(body))
    except ValueError:
        return []
