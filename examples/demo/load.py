"""A bounded load: a few clients that send held-out images one by one and write down every answer."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from typing import Self

import httpx
import numpy as np
from numpy.typing import NDArray

CLIENTS = 4
MOST_REQUESTS = 20_000
MOST_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Images:
    """Held-out images, [n, 64] raw pixel values, and what they show."""

    pixels: NDArray[np.float32]
    labels: NDArray[np.int64]

    def request(self, index: int) -> dict[str, object]:
        """A V2 infer request for one image, asking for its label only."""
        return {
            "inputs": [
                {
                    "name": "image",
                    "datatype": "FP32",
                    "shape": [1, 64],
                    "data": self.pixels[index].tolist(),
                }
            ],
            "outputs": [{"name": "label"}],
        }


@dataclass(frozen=True, slots=True)
class Answered:
    """One request: when its answer was complete (seconds, monotonic), and what it said."""

    at: float
    took_ms: float
    status: int
    version: str
    right: bool


@dataclass
class Load:
    """Clients in threads, from ``with`` to its end; never more than the bounds above."""

    url: str
    images: Images
    answers: list[Answered] = field(default_factory=list)
    _stop: threading.Event = field(default_factory=threading.Event)
    _threads: list[threading.Thread] = field(default_factory=list)

    def __enter__(self) -> Self:
        for number in range(CLIENTS):
            thread = threading.Thread(target=self._client, args=(number,), daemon=True)
            thread.start()
            self._threads.append(thread)
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(timeout=35)

    def _client(self, number: int) -> None:
        until = time.monotonic() + MOST_SECONDS
        index = number
        with httpx.Client(timeout=35) as client:
            while not self._stop.is_set() and time.monotonic() < until and len(self.answers) < MOST_REQUESTS:
                self.answers.append(ask(client, self.url, self.images, index % len(self.images.labels)))
                index += CLIENTS


def ask(client: httpx.Client, url: str, images: Images, index: int) -> Answered:
    """Send one image; an answer that never came counts as status 0."""
    started = time.monotonic()
    try:
        answer = client.post(url, json=images.request(index))
    except httpx.HTTPError:
        now = time.monotonic()
        return Answered(now, (now - started) * 1000, 0, "", right=False)
    now = time.monotonic()
    body = answer.json() if answer.status_code == 200 else {}
    said = body["outputs"][0]["data"][0] if body else None
    return Answered(
        at=now,
        took_ms=(now - started) * 1000,
        status=answer.status_code,
        version=str(body.get("model_version", "")),
        right=said == int(images.labels[index]),
    )


def accuracy(url: str, images: Images) -> float:
    """Send every image once, one request each, and return the share that was named right."""
    with httpx.Client(timeout=35) as client:
        answers = [ask(client, url, images, index) for index in range(len(images.labels))]
    failed = [answer.status for answer in answers if answer.status != 200]
    if failed:
        raise RuntimeError(f"{len(failed)} of {len(answers)} requests failed, first with status {failed[0]}")
    return sum(answer.right for answer in answers) / len(answers)
