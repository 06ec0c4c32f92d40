"""Requests that are objects in S3: each is answered by an object beside it.

Told of them by S3's own notifications, or by the events that S3 sends to EventBridge.
``requests/monday/7.json`` is answered by ``answers/monday/7.json`` in the same bucket. What lies under
``answers/`` is never taken for a request, so that a notification on the whole bucket does not run in a
circle. A body with binary data has the metadata ``inference-header-content-length``, and so has its answer.

Answering again writes the same answer again, so an event may come twice. A caller's mistake is answered
with ``{"error", "status"}``; the function's own failures are raised after every object has had its turn,
and Lambda repeats the event.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import quote_plus, unquote_plus
from zlib import crc32

from functions.inference.doors.outcome import FunctionFailedError, Outcome, failed, infer, keep, write_line
from functions.inference.ports import Objects, Stored
from functions.inference.quick import remaining_s
from functions.inference.released import Service
from functions.inference.request_log import RequestLog
from functions.protocol.errors import BadRequestError, UnknownUploadError

if TYPE_CHECKING:
    from functions.inference.capture import Recorder

REQUESTS = "requests/"
ANSWERS = "answers/"

RECORD_SOURCE = "aws:s3"
EVENT_SOURCE = "aws.s3"


class ObjectDoor:
    """Answers S3's event notifications, directly or from within a queue's messages."""

    def __init__(
        self, service: Service, log: RequestLog, objects: Objects, recorder: Recorder | None = None
    ) -> None:
        self._service = service
        self._recorder = recorder
        self._log = log
        self._objects = objects

    def __call__(self, event: Mapping[str, Any], context: object) -> dict[str, Any]:
        """Answer every object of an event; raise ``FunctionFailedError`` if one has no answer."""
        outcomes = [self.answer(record, context) for record in event["Records"]]
        faults = [outcome for outcome in outcomes if outcome is not None and outcome.is_fault]
        if faults:
            raise FunctionFailedError(f"{len(faults)} of {len(outcomes)} objects have no answer")
        return {"answered": sum(outcome is not None for outcome in outcomes)}

    def answer(self, record: Mapping[str, Any], context: object) -> Outcome | None:
        """Answer one object; ``None`` for what is no request. Never raises."""
        started = time.perf_counter()
        try:
            place = _place(record)
            if place is None:
                return None
            bucket, key = place
            asked = self._objects.read(bucket, key, limit=self._service.limits.max_object_bytes)
            outcome = self._answered(asked, context)
            if not outcome.is_fault:
                stored = Stored(outcome.encoded.body, outcome.encoded.json_length)
                self._objects.write(bucket, answer_key(key), stored)
                self._keep(key, asked, outcome, context)
        except UnknownUploadError as error:
            # Deleted since: whoever deleted it wants no answer, and asking again would not bring it back. S3
            # says the same of what this function may not read, so a line says that something was passed by.
            self._line(failed(error), context, started)
            return None
        except Exception as error:  # noqa: BLE001 - one object must not keep the others from their turn
            outcome = failed(error)
        self._line(outcome, context, started)
        return outcome

    def _line(self, outcome: Outcome, context: object, started: float) -> None:
        request_id = getattr(context, "aws_request_id", None)
        write_line(self._log, outcome, request_id=request_id, door="S3", started=started)

    def _answered(self, asked: Stored, context: object) -> Outcome:
        return infer(
            self._service,
            asked.body,
            json_length=asked.json_length,
            remaining_s=remaining_s(context),
            max_bytes=self._service.limits.max_object_bytes,
        )

    def _keep(self, key: str, asked: Stored, outcome: Outcome, context: object) -> None:
        """One event may tell of several objects: each is known by its name, and by an id of its own."""
        if self._recorder is not None:
            name = key.removeprefix(REQUESTS)
            request_id = f"{getattr(context, 'aws_request_id', '')}-{crc32(name.encode()):08x}"
            keep(
                self._recorder,
                outcome,
                request_id,
                asked.body,
                context,
                json_length=asked.json_length,
                own=name,
            )


def answer_key(key: str) -> str:
    """Where the answer to a request lies."""
    return ANSWERS + key.removeprefix(REQUESTS)


def announced(event: object) -> list[dict[str, Any]]:
    """What an event says of objects, as records of a notification; empty for any other event.

    EventBridge wraps one object and leaves its key as it is; a notification lists several and quotes keys.
    """
    if not isinstance(event, dict):
        return []
    if event.get("source") == EVENT_SOURCE:
        detail = event.get("detail")
        if not isinstance(detail, dict) or event.get("detail-type") != "Object Created":
            return []
        thing = detail.get("object")
        key = thing.get("key") if isinstance(thing, dict) else None
        return [
            {
                "eventSource": RECORD_SOURCE,
                "eventName": "ObjectCreated:",
                "s3": {
                    "bucket": detail.get("bucket"),
                    "object": {"key": quote_plus(key)} if isinstance(key, str) else None,
                },
            }
        ]
    records = event.get("Records")
    if not isinstance(records, list):
        return []
    return [item for item in records if isinstance(item, dict) and item.get("eventSource") == RECORD_SOURCE]


def _place(record: Mapping[str, Any]) -> tuple[str, str] | None:
    """Bucket and key of a request that was put there; ``None`` for answers and for deletions."""
    try:
        bucket, key = str(record["s3"]["bucket"]["name"]), unquote_plus(str(record["s3"]["object"]["key"]))
    except (KeyError, TypeError) as error:
        raise BadRequestError(f"the record names no object: {error!r}") from error
    created = str(record.get("eventName", "ObjectCreated:")).startswith("ObjectCreated:")
    # A key that ends in a slash is how consoles draw a folder.
    return (bucket, key) if created and not key.startswith(ANSWERS) and not key.endswith("/") else None
