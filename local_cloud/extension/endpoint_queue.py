"""The queue before an asynchronous endpoint: what waits, who works on it, where it goes and who hears of it.

Stock: there is no SageMaker. AWS: SageMaker Runtime API reference, ``InvokeEndpointAsync``; SageMaker's
developer guide, "Asynchronous inference" (what waits while there is no instance is kept; at most
``MaxConcurrentInvocationsPerInstance`` at once for each; a request that waited longer than its TTL, or is
computed for longer than its timeout, has failed; an answer or a failure is an object, and a topic may be told
of either) and "Monitor asynchronous endpoint" (``ApproximateBacklogSize``, the same by instance, and
``HasBacklogWithoutCapacity``, each minute).
"""

from __future__ import annotations

import contextvars
import json
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from ministack.services import cloudwatch

from local_cloud.extension import bad_day, containers

OWN_CHOICE = 4
"""``MaxConcurrentInvocationsPerInstance`` where nobody says: SageMaker "chooses an optimal value"."""

_TICK_S = 0.05

Asks = Callable[["Waiting", bytes], tuple[int, bytes]]


@dataclass(frozen=True)
class Waiting:
    """A request in the queue. ``source`` is the address of its body where ``body`` is not it."""

    id: str
    headers: dict[str, str]
    body: bytes
    source: str
    output: str
    failure: str
    expires_s: float
    timeout_s: float
    at: float = field(default_factory=time.monotonic)


class EndpointQueue:
    """The queue of one endpoint, with a thread that hands out what waits. ``close`` ends it."""

    def __init__(
        self, name: str, settings: dict[str, Any], *, instances: Callable[[], int], asks: Asks
    ) -> None:
        self._name = name
        self._topics = (settings.get("OutputConfig") or {}).get("NotificationConfig") or {}
        self._at_once = (settings.get("ClientConfig") or {}).get(
            "MaxConcurrentInvocationsPerInstance"
        ) or OWN_CHOICE
        self._instances = instances
        self._asks = asks
        self._waiting: deque[Waiting] = deque()
        self._busy = 0
        self._lock = threading.Lock()
        self._closed = threading.Event()
        self._run(self._hand_out)

    def put(self, waiting: Waiting) -> None:
        with self._lock:
            self._waiting.append(waiting)

    def close(self) -> None:
        self._closed.set()

    def _run(self, work: Callable[..., None], *arguments: Any) -> None:
        """For the account and region that asked."""
        context = contextvars.copy_context()
        threading.Thread(target=context.run, args=(work, *arguments), daemon=True).start()

    def _hand_out(self) -> None:
        counted = 0.0
        while not self._closed.wait(_TICK_S):
            if time.monotonic() - counted >= bad_day.today().minute_s / 4:
                counted = time.monotonic()
                self._count()
            while (taken := self._take()) is not None:
                self._run(self._work, taken)

    def _take(self) -> Waiting | None:
        """The next that may be worked on, or is too old to be."""
        with self._lock:
            if not self._waiting:
                return None
            old = time.monotonic() - self._waiting[0].at > self._waiting[0].expires_s
            if not old and self._busy >= self._instances() * self._at_once:
                return None
            self._busy += 1
            return self._waiting.popleft()

    def _work(self, waiting: Waiting) -> None:
        try:
            good, content = self._outcome(waiting)
            bucket, key = containers.place(waiting.output if good else waiting.failure)
            containers.s3().put_object(Bucket=bucket, Key=key, Body=content)
            self._tell(waiting, good, content)
        finally:
            with self._lock:
                self._busy -= 1

    def _outcome(self, waiting: Waiting) -> tuple[bool, bytes]:
        if time.monotonic() - waiting.at > waiting.expires_s:
            return False, b"Request is expired"
        try:
            body = waiting.body
            if waiting.source:
                bucket, key = containers.place(waiting.source)
                body = containers.s3().get_object(Bucket=bucket, Key=key)["Body"].read()
            status, content = self._asks(waiting, body)
        except Exception as error:  # noqa: BLE001 - the answer to whatever happened is a failure object
            return False, str(error).encode()
        return 200 <= status < 300, content

    def _tell(self, waiting: Waiting, good: bool, content: bytes) -> None:
        """Source: SageMaker developer guide, "Check prediction results", the notifications' own examples."""
        topic = self._topics.get("SuccessTopic" if good else "ErrorTopic")
        if not topic:
            return
        told: dict[str, Any] = {
            "awsRegion": cloudwatch.get_region(),
            "eventSource": "aws:sagemaker",
            "eventName": "InferenceResult",
            "invocationStatus": "Completed" if good else "Failed",
            "requestParameters": {"endpointName": self._name, "inputLocation": waiting.source},
            "inferenceId": waiting.id,
        }
        if good:
            told["responseParameters"] = {"outputLocation": waiting.output}
        else:
            told["failureReason"] = content.decode("utf-8", "replace")[:500]
            told["responseParameters"] = {"failureLocation": waiting.failure}
        containers.client("sns").publish(TopicArn=topic, Message=json.dumps(told))

    def _count(self) -> None:
        with self._lock:
            size = len(self._waiting) + self._busy
        instances = self._instances()
        for metric, value in (
            ("ApproximateBacklogSize", float(size)),
            ("ApproximateBacklogSizePerInstance", size / instances if instances else None),
            ("HasBacklogWithoutCapacity", float(bool(size) and not instances)),
        ):
            if value is not None:
                cloudwatch.record_metric(
                    "AWS/SageMaker", metric, value, "Count", {"EndpointName": self._name}
                )
