"""A crowd of callers that know what each version must answer, and write down what they got.

Cheap on purpose (plain sockets, requests made beforehand): on a small machine the callers share their
processors with the cloud that they measure.
"""

from __future__ import annotations

import http.client
import json
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Self
from urllib.parse import urlsplit

JSON = {"Content-Type": "application/json"}
TIMEOUT_S = 35.0


@dataclass(frozen=True, slots=True)
class Question:
    """A request body, and the answer that each version of the model must give to it."""

    body: bytes
    answers: dict[str, list[float]]


@dataclass(frozen=True, slots=True)
class Heard:
    """One answer: when it was asked and complete (seconds, monotonic), which version, whether it was true."""

    asked: float
    at: float
    status: int
    version: str
    true: bool


@dataclass
class Crowd:
    """Callers in threads from ``with`` to its end, or until they have asked ``most`` times.

    Each waits ``pause_s`` between an answer and its next question.
    """

    url: str
    questions: Sequence[Question]
    callers: int = 4
    most: int = 1_000_000
    pause_s: float = 0.0
    heard: list[Heard] = field(default_factory=list)
    _stop: threading.Event = field(default_factory=threading.Event)
    _threads: list[threading.Thread] = field(default_factory=list)
    _asked: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __enter__(self) -> Self:
        for number in range(self.callers):
            thread = threading.Thread(target=self._call, args=(number,), daemon=True)
            thread.start()
            self._threads.append(thread)
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self.wait()

    def wait(self) -> None:
        """Return when every caller has hung up."""
        for thread in self._threads:
            thread.join()

    def wait_for(self, answers: int, *, patience_s: float = 120.0) -> None:
        """Return when so many answers were heard; fail if they do not come."""
        end = time.monotonic() + patience_s
        while len(self.heard) < min(answers, self.most):
            if time.monotonic() > end:
                raise TimeoutError(f"{len(self.heard)} of {answers} answers after {patience_s:.0f} s")
            time.sleep(0.005)

    def _call(self, number: int) -> None:
        at = urlsplit(self.url)
        kind = http.client.HTTPSConnection if at.scheme == "https" else http.client.HTTPConnection
        connection = kind(str(at.hostname), at.port, timeout=TIMEOUT_S)
        index = number
        while not self._stop.is_set() and self._may_ask():
            self.heard.append(ask(connection, at.path, self.questions[index % len(self.questions)]))
            index += self.callers
            self._stop.wait(self.pause_s)
        connection.close()

    def _may_ask(self) -> bool:
        with self._lock:
            self._asked += 1
            return self._asked <= self.most


def ask(connection: http.client.HTTPConnection, path: str, question: Question) -> Heard:
    """Ask once; an answer that never came has status 0."""
    asked = time.monotonic()
    try:
        connection.request("POST", path, question.body, JSON)
        answer = connection.getresponse()
        body = answer.read()
    except (OSError, http.client.HTTPException):
        connection.close()
        return Heard(asked, time.monotonic(), 0, "", true=False)
    at = time.monotonic()
    if answer.status != 200:
        return Heard(asked, at, answer.status, "", true=False)
    document = json.loads(body)
    version = str(document.get("model_version", ""))
    data = document["outputs"][0]["data"]
    return Heard(asked, at, 200, version, true=data == question.answers.get(version))
