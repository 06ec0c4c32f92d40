"""A mirror hands every inference that it has answered on to another version, which answers nobody.

What is live is immutable and knows nothing of shadows; while one runs, the release controller gives a share
of the alias to a Lambda version that is the *same model version* and has ``SWITCHYARD_SHADOW`` besides
(``releases.shadowing``). So who mirrors is decided by Lambda, and whoever does not mirror pays nothing.

Law: a caller is answered as if nothing were mirrored. The answer is complete before anything is handed on,
by a thread that nobody waits for, from a short line that drops what does not fit. Lambda may freeze the
environment with the line half sent; then it is sent when the environment is used again, or lost, and lost
ones are counted.
"""

from __future__ import annotations

import json
import queue
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

from functions.inference.ports import Shadow
from functions.inference.siblings import FUNCTION_VARIABLE
from functions.protocol.headers import JSON_LENGTH
from model_store.contract.environment import SHADOW, SHADOW_EVENT

MOST_WAITING = 32
"""So many requests wait to be handed on. Each may hold megabytes."""

MAX_EVENT_BYTES = 1_000_000
"""Largest event of an asynchronous invocation, 1 MB. Source: AWS Lambda quotas."""

DIRECT = "direct"
"""The API of an event that the release controller made (``model_store.contract.events``): no caller's."""

Handler = Callable[[Any, Any], dict[str, Any]]


def mirrored(inner: Handler, environ: Mapping[str, str]) -> Handler:
    """Return ``inner`` as a mirror, or as it is if the shadow cannot be reached: it never fails a start."""
    from functions.inference.adapters.aws import LambdaShadow

    try:
        asked = json.loads(environ[SHADOW])
        shadow = LambdaShadow(environ[FUNCTION_VARIABLE], str(asked["alias"]))
        return MirrorDoor(inner, shadow, version=int(asked["version"]))
    except Exception:  # noqa: BLE001 - whatever is wrong with the shadow is nothing to a caller
        return inner


class MirrorDoor:
    """A Lambda handler around another one, whose answers it returns as they are."""

    def __init__(
        self, inner: Handler, shadow: Shadow, *, version: int, most_waiting: int = MOST_WAITING
    ) -> None:
        self._inner = inner
        self._shadow = shadow
        self._version = version
        self._waiting: queue.Queue[tuple[dict[str, Any], dict[str, Any], float]] = queue.Queue(most_waiting)
        self._lost = 0
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    def __call__(self, event: Any, context: Any) -> dict[str, Any]:
        started = time.perf_counter()
        answer = self._inner(event, context)
        if answer.get("statusCode") == 200 and is_inference(event):
            self._keep(event, answer, (time.perf_counter() - started) * 1000)
        return answer

    def _keep(self, event: dict[str, Any], answer: dict[str, Any], ms: float) -> None:
        try:
            self._waiting.put_nowait((event, answer, ms))
            if self._thread is None or not self._thread.is_alive():
                # Here and not at the start: a thread does not survive a snapshot.
                self._thread = threading.Thread(target=self._hand_on, daemon=True)
                self._thread.start()
        except (queue.Full, RuntimeError):
            self._lose(1)

    def _lose(self, count: int) -> None:
        with self._lock:
            self._lost += count

    def _hand_on(self) -> None:
        while True:
            event, answer, ms = self._waiting.get()
            try:
                lost = self._lost
                made = self._event(event, answer, ms, lost)
                if len(made) <= MAX_EVENT_BYTES:
                    self._shadow.tell(made)
                    self._lose(-lost)
                else:
                    self._lose(1)
            except Exception:  # noqa: BLE001 - nobody is there to hear it; the count of lost ones travels on
                self._lose(1)
            finally:
                self._waiting.task_done()

    def _event(self, event: dict[str, Any], answer: dict[str, Any], ms: float, lost: int) -> bytes:
        about = {
            "version": self._version,
            "request_id": event["requestContext"].get("requestId"),
            "ms": round(ms, 3),
            "lost": lost,
        }
        body = {SHADOW_EVENT: about, "request": _content(event), "answer": _content(answer)}
        return json.dumps(body, separators=(",", ":")).encode()

    def drain(self) -> None:
        """Wait until everything that was kept is handed on or lost. For tests; a function never waits."""
        self._waiting.join()


def is_inference(event: Any) -> bool:
    """Whether an API's caller sent it. The controller's checks are answered by this very version."""
    context = event["requestContext"]
    http = context["http"]
    path = str(http["path"])
    return http["method"] == "POST" and path.endswith("/infer") and context.get("apiId") != DIRECT


def _content(half: dict[str, Any]) -> dict[str, Any]:
    """The body and the one header that says how to read it: whose request it was stays here."""
    headers = {
        name: value for name, value in (half.get("headers") or {}).items() if name.lower() == JSON_LENGTH
    }
    return {
        "body": half.get("body"),
        "headers": headers,
        "isBase64Encoded": bool(half.get("isBase64Encoded")),
    }
