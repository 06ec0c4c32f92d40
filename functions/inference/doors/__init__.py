"""The ways into a function besides HTTP, told apart by the shape of the event.

| event | module | answer |
|---|---|---|
| an HTTP API's or a function URL's, payload format 2.0 | ``functions.inference.door`` | an HTTP answer |
| a REST API's, payload format 1.0 | the same, once it is read as 2.0 | an HTTP answer |
| ``{"inputs": […], …}`` | ``direct`` | the protocol's answer, or ``{"error", "status"}`` |
| ``{"switchyardShadow": {…}}`` | ``shadow`` | compared with the live answer; nobody waits |
| ``{"Records": […]}`` of SQS | ``messages`` | ``{"batchItemFailures": […]}``; answers go to a queue |
| ``{"Records": […]}`` of S3, or EventBridge's event of one | ``objects`` | answers lie beside the requests |

Each is imported when the first such event comes: HTTP calls, which are most, import none of it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

from model_store.contract.environment import SHADOW_EVENT

if TYPE_CHECKING:
    from functions.inference.capture import Recorder
    from functions.inference.doors.messages import MessageDoor
    from functions.inference.doors.objects import ObjectDoor
    from functions.inference.released import Service
    from functions.inference.request_log import RequestLog

Http = Callable[[object, object], dict[str, Any]]
Compare = Callable[[dict[str, Any], object], dict[str, Any]]


class Doors:
    """The handler: looks at an event once and lets the right door answer it.

    Law of all doors: what a caller got wrong is an answer; what the function got wrong is raised or
    reported, so that Lambda counts it and whoever sent the event sends it again.
    """

    def __init__(
        self,
        http: Http,
        service: Service,
        log: RequestLog,
        environ: Mapping[str, str],
        *,
        compare: Compare | None = None,
        recorder: Recorder | None = None,
    ) -> None:
        """``compare`` answers mirrored requests; a function that has no model of its own has none.

        ``recorder`` keeps requests, where the catalog asks for it; ``http`` tells it of its own.
        """
        self._http = http
        self._compare = compare
        self._service = service
        self._log = log
        self._environ = environ
        self._recorder = recorder

    def __call__(self, event: object, context: object) -> dict[str, Any]:
        if type(event) is dict and "requestContext" not in event:
            if "inputs" in event:
                from functions.inference.doors import direct

                return direct.answer(event, context, self._service, self._log, self._recorder)
            if SHADOW_EVENT in event and self._compare is not None:
                return self._compare(event, context)
            if sources := _sources(event):
                if sources == {"aws:sqs"}:
                    return self._messages(event, context)
                if sources == {"aws:s3"}:
                    return self._objects(event, context)
            if event.get("source") == "aws.s3":
                from functions.inference.doors.objects import announced

                return self._objects({"Records": announced(event)}, context)
        elif type(event) is dict and "httpMethod" in event:
            return self._rest(event, context)
        return self._http(event, context)

    def _rest(self, event: dict[str, Any], context: object) -> dict[str, Any]:
        from model_store.contract.rest_events import as_http_event, as_rest_answer, is_rest_event

        if not is_rest_event(event):
            return self._http(event, context)
        return as_rest_answer(self._http(as_http_event(event), context))

    @cached_property
    def _messages(self) -> MessageDoor:
        from functions.inference.adapters.aws import SqsQueue
        from functions.inference.doors.messages import MessageDoor

        return MessageDoor.from_environment(
            self._service, self._log, self._environ, SqsQueue(), self._objects, self._recorder
        )

    @cached_property
    def _objects(self) -> ObjectDoor:
        from functions.inference.adapters.aws import S3Objects
        from functions.inference.doors.objects import ObjectDoor

        return ObjectDoor(self._service, self._log, S3Objects(), self._recorder)


def _sources(event: Mapping[str, Any]) -> set[str]:
    """Which services the records of a batch come from; empty where it is no batch."""
    records = event.get("Records")
    if not isinstance(records, list):
        return set()
    return {str(record.get("eventSource")) for record in records if isinstance(record, dict)}
