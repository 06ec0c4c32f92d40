"""A caller may pin a version: ``/versions/7`` is answered by whichever Lambda version serves model version 7.

An API route leads to an alias, and an alias to one model version. A pin on another one is handed to
the *sibling*: the same function at the Lambda alias ``v7``, which the release controller keeps while
version 7 is released anywhere (``releases.pins``). The sibling's answer, good or bad, is the answer.

A call is handed on once: a marked event is answered here, whatever it asks for. The mark stands beside
the request and not in it, where no caller of the API can write.
"""

from __future__ import annotations

import json
import re
import sys
import threading
import time
from collections.abc import Callable
from typing import Any, Protocol

from functions.inference.released import Released, Unreleased
from model_store.contract.deployment import pin_alias
from model_store.contract.environment import MODEL_HEADER
from model_store.contract.errors import SwitchyardError
from model_store.contract.names import ByVersion

MARK = "switchyardPinned"

GRACE_S = 0.25
"""Kept of this function's time to say that the sibling did not answer in time."""

LIST_SECONDS = 60.0
"""How long a list of pins is believed. Listing is a call to Lambda's control plane, whose few calls a
second a rollback needs too: callers of a version that does not exist must not use them up."""

_PINNED = re.compile(r"(?:.*/|)v2/models/(?P<model>[^/]+)/versions/(?P<version>[1-9][0-9]{0,8})(?:/[a-z]+)?")

Handler = Callable[[Any, Any], dict[str, Any]]


class NoSuchPinError(SwitchyardError):
    """No Lambda version is published under that pin: the model version is released nowhere."""


class NoAnswerError(SwitchyardError):
    """The sibling could not be asked, or failed. ``status`` is what the caller gets."""

    def __init__(self, message: str, *, status: int) -> None:
        super().__init__(message)
        self.status = status


class Siblings(Protocol):
    """The other Lambda versions of this function."""

    def ask(self, qualifier: str, event: dict[str, Any]) -> Any:
        """What the sibling returned. Raises ``NoSuchPinError`` or ``NoAnswerError``, and nothing else."""

    def pins(self) -> list[int]:
        """The model versions that can be pinned, in order; ``NoAnswerError`` if nobody says."""


class PinnedDoor:
    """A Lambda handler around another one, which answers everything but pins on other versions."""

    def __init__(
        self,
        inner: Handler,
        served: Released | Unreleased,
        *,
        connect: Callable[[], Siblings],
        write_log: Callable[[str], object] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._inner = inner
        self._model = served.model
        self._version = None if isinstance(served, Unreleased) else served.manifest.version
        self._connect = connect
        self._write_log = write_log or _to_stdout
        self._clock = clock
        self._listed: tuple[float, list[int]] | None = None

    def __call__(self, event: Any, context: Any) -> dict[str, Any]:
        version = self._elsewhere(event)
        if version is None:
            return self._inner(event, context)
        started = time.perf_counter()
        answer = self._hand_on(version, event, context)
        line = {
            "request_id": _request_id(event, context),
            "model": self._model,
            "version": str(self._version or ""),
            "pinned": str(version),
            "method": event["requestContext"]["http"].get("method", ""),
            "route": "pinned",
            "status": answer.get("statusCode", 500),
            "ms": round((time.perf_counter() - started) * 1000, 3),
        }
        self._write_log(json.dumps(line) + "\n")
        return answer

    def _elsewhere(self, event: Any) -> int | None:
        """The version that ``event`` pins, if that is not the one served here."""
        if not isinstance(event, dict) or event.get(MARK):
            return None
        try:
            path = event["requestContext"]["http"]["path"]
        except (KeyError, TypeError):
            return None
        if not isinstance(path, str) or "/versions/" not in path:
            return None
        found = _PINNED.fullmatch(path)
        if found is None or found["model"] != self._model:
            return None
        version = int(found["version"])
        return None if version == self._version else version

    def _hand_on(self, version: int, event: dict[str, Any], context: Any) -> dict[str, Any]:
        try:
            answer = self._within_time(pin_alias(version), {**event, MARK: True}, context)
            return self._checked(version, answer)
        except NoSuchPinError:
            return self._not_released(version)
        except NoAnswerError as error:
            return _says(error.status, f"version {version} of {self._model} {error}")

    def _within_time(self, qualifier: str, event: dict[str, Any], context: Any) -> Any:
        """Ask, and give up in time to say so: a function that runs out of time answers nothing at all."""
        import queue  # costs a start nothing: only a pin needs it

        answers: queue.Queue[Any] = queue.Queue(1)

        def ask() -> None:
            try:
                answers.put(self._connect().ask(qualifier, event))
            except Exception as error:  # noqa: BLE001 - raised again below, in the caller's thread
                answers.put(error)

        remaining = getattr(context, "get_remaining_time_in_millis", lambda: 30_000)() / 1000
        threading.Thread(target=ask, daemon=True).start()
        try:
            answer = answers.get(timeout=max(remaining - GRACE_S, GRACE_S))
        except queue.Empty:
            raise NoAnswerError("did not answer in time", status=504) from None
        if isinstance(answer, Exception):
            raise answer
        return answer

    def _checked(self, version: int, answer: Any) -> dict[str, Any]:
        """Law 2: whoever asks for version 7 is answered by it or told that it is not released.

        A pin that leads to another version is parked: that version was released once.
        """
        headers = answer.get("headers") if isinstance(answer, dict) else None
        if not isinstance(answer, dict) or not isinstance(headers, dict) or "statusCode" not in answer:
            raise NoAnswerError("did not answer an HTTP call", status=500)
        if headers.get(MODEL_HEADER) != str(ByVersion(self._model, version)):
            raise NoSuchPinError(f"the pin leads to `{headers.get(MODEL_HEADER)}`")
        return answer

    def _not_released(self, version: int) -> dict[str, Any]:
        here = (
            f"no version of {self._model} is served here"
            if self._version is None
            else f"version {self._version} is"
        )
        message = f"version `{version}` of {self._model} is not released, {here}"
        others = [str(number) for number in self._pins() if number != self._version]
        if others:
            message += f"; by number there are also: {', '.join(others)}"
        return _says(404, message)

    def _pins(self) -> list[int]:
        if self._listed and self._clock() - self._listed[0] < LIST_SECONDS:
            return self._listed[1]
        try:
            pins = self._connect().pins()
        except NoAnswerError:
            pins = []
        self._listed = (self._clock(), pins)
        return pins


def _says(status: int, error: str) -> dict[str, Any]:
    return {
        "statusCode": status,
        "headers": {"content-type": "application/json"},
        "body": json.dumps({"error": error}),
        "isBase64Encoded": False,
    }


def _request_id(event: dict[str, Any], context: Any) -> str:
    gateway = event["requestContext"].get("requestId")
    return str(gateway or getattr(context, "aws_request_id", None) or "unknown")


def _to_stdout(line: str) -> None:
    sys.stdout.write(line)
    sys.stdout.flush()
