"""A released model behind every door, and a context that Lambda could have given."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

import pytest

from functions.inference.adapters.memory import MemoryObjects, MemoryQueue
from functions.inference.door import HttpDoor
from functions.inference.doors import Doors, shadow
from functions.inference.doors.messages import MessageDoor
from functions.inference.doors.objects import ObjectDoor
from functions.inference.limits import Limits
from functions.inference.request_log import RequestLog
from functions.inference.served import Served, Unreleased
from functions.inference.service import ModelService
from tests.unit.functions.conftest import Kept, Layer

X = {"name": "x", "datatype": "FP32", "shape": [1, 4], "data": [0, 0, 0, 1]}


@dataclass
class Context:
    """What Lambda hands to a handler, as far as anybody looks at it."""

    aws_request_id: str = "request-1"
    remaining_ms: int = 10_000

    def get_remaining_time_in_millis(self) -> int:
        return self.remaining_ms


@dataclass
class House:
    """One function with all its doors."""

    served: Served | Unreleased
    limits: Limits = field(default_factory=Limits)
    lines: list[str] = field(default_factory=list)
    objects: MemoryObjects = field(default_factory=MemoryObjects)
    queue: MemoryQueue = field(default_factory=MemoryQueue)
    kept: Kept | None = None

    def __post_init__(self) -> None:
        self.log = RequestLog(self.served.labels, self.lines.append)
        self.service = ModelService(self.served, self.limits)
        recorder = self.kept.recorder if self.kept else None
        self.object_door = ObjectDoor(self.service, self.log, self.objects, recorder)
        self.message_door = MessageDoor(
            self.service,
            self.log,
            self.queue,
            queue_url="https://answers",
            objects=self.object_door,
            recorder=recorder,
        )
        self.doors = Doors(
            HttpDoor(self.service, self.log),
            self.service,
            self.log,
            {},
            compare=lambda event, context: shadow.answer(
                event, context, self.service, self.log, self.service.outputs
            ),
            recorder=recorder,
        )

    @property
    def logged(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.lines]


@pytest.fixture
def keeping(linear_layer: Layer) -> tuple[House, Kept]:
    """A house that keeps all its requests."""
    served = linear_layer.load()
    kept = Kept(served)
    return House(served, kept=kept), kept


@pytest.fixture
def house(linear_layer: Layer) -> House:
    return House(linear_layer.load())


@pytest.fixture
def empty_house() -> House:
    """No version is released there yet."""
    return House(Unreleased("digits"))
