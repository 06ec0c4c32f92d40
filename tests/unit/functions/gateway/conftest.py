"""A gateway whose endpoint is the model itself, asked as the container's SageMaker door would be."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson
import pytest

from functions.gateway.adapters.memory import MemoryEndpoint
from functions.gateway.pin import Pin, find_pin
from functions.gateway.ports import Said
from functions.gateway.service import GatewayService
from functions.inference.door import HttpDoor
from functions.inference.limits import Limits
from functions.inference.predictor import BadInputError
from functions.inference.released import Unreleased
from functions.inference.request_log import RequestLog
from functions.inference.served import Served
from functions.inference.service import ModelService
from functions.inference.statuses import STATUS
from functions.protocol.errors import ProtocolError
from model_store.contract import environment
from model_store.contract.events import http_event, read_answer
from tests.unit.functions.conftest import Layer, Reply


def pin_of(layer: Layer, **more: str) -> Pin:
    """What a release would publish for this layer."""
    environ = {
        **layer.environ,
        **more,
        environment.TARGET: "sagemaker",
        environment.ENDPOINT: "switchyard-test-digits",
    }
    pin = find_pin(environ, package=str(layer.package))
    assert isinstance(pin, Pin)
    return pin


def computing(served: Served) -> Callable[[bytes, int | None], Said]:
    """What the container answers, by the same service and the same table of statuses."""
    service = ModelService(served)

    def answer(body: bytes, json_length: int | None) -> Said:
        try:
            encoded = service.infer(body, served.model, json_length=json_length)
        except (ProtocolError, BadInputError) as error:
            return Said(STATUS[type(error)], orjson.dumps({"error": str(error)}))
        return Said(200, encoded.body, encoded.json_length, served.headers)

    return answer


@dataclass
class GatewayCaller:
    """Calls a gateway through the same door as API Gateway; keeps its log lines and its naps."""

    pin: Pin | Unreleased
    endpoint: MemoryEndpoint
    limits: Limits = field(default_factory=Limits)
    lines: list[str] = field(default_factory=list)
    naps: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.service = GatewayService(
            self.pin, self.limits, connect=lambda: self.endpoint, sleep=self.naps.append
        )
        labels = {**self.pin.labels, "stage": "test"}
        self.door = HttpDoor(self.service, RequestLog(labels, self.lines.append))

    @property
    def log(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.lines]

    def event(self, event: object, context: object = None) -> Reply:
        return Reply(*read_answer(self.door(event, context)))

    def get(self, path: str) -> Reply:
        return self.event(http_event("GET", path))

    def post(self, path: str, content: bytes, headers: Mapping[str, str] | None = None) -> Reply:
        binary = "inference-header-content-length" in (headers or {})
        kind = "application/octet-stream" if binary else "application/json"
        event = http_event("POST", path, content, content_type=kind)
        event["headers"] |= headers or {}
        return self.event(event)

    def infer(self, *rows: list[float]) -> Reply:
        x = {
            "name": "x",
            "datatype": "FP32",
            "shape": [len(rows), 4],
            "data": [number for row in rows for number in row],
        }
        return self.post(f"/v2/models/{self.pin.model}/infer", json.dumps({"inputs": [x]}).encode())


@pytest.fixture
def gateway(linear_layer: Layer) -> GatewayCaller:
    """``digits:2`` behind a gateway."""
    return GatewayCaller(pin_of(linear_layer), MemoryEndpoint(computing(linear_layer.load())))
